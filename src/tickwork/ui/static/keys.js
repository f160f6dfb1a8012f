// The keyboard, and the sheet that tells of it.

import { h } from "/static/dom.js";

const GENERAL = [
  ["?", "this sheet"],
  ["g then r, t, k, s, i, c, f", "go to runs, timeline, tick, search, inference, compare, fork"],
  ["/", "search"],
  ["d", "light or dark"],
];
export const TIMELINE = [
  ["← →", "one tick back or on; with Shift ten"],
  ["↑ ↓", "the agent above or below"],
  ["Home End", "the first or last tick"],
  ["Space", "play or pause"],
  ["+ −", "zoom in or out; 0 shows everything"],
  ["n p", "the next or previous thing that went wrong"],
  ["Enter", "the selected turn in full"],
  ["wheel, drag", "zoom; with Shift or on the names scroll; drag to move"],
];
export const TURN = [
  ["← →", "the tick before or after"],
  ["[ ]", "the agent's turn before or after"],
];

/** Whether a key belongs to a field that is being typed in. */
export function isTyping(event) {
  return (
    event.target.closest?.("input:not([type=range]):not([type=checkbox]), textarea, select, dialog") !== null
  );
}

export function showKeys() {
  document.querySelector("dialog")?.remove();
  const list = (title, keys) => [
    h("h2", {}, title),
    h(
      "div",
      { class: "keys" },
      ...keys.flatMap(([key, what]) => [h("span", {}, h("kbd", {}, key)), h("span", {}, what)]),
    ),
  ];
  const dialog = h(
    "dialog",
    { "aria-label": "Keyboard" },
    h(
      "header",
      {},
      h("h2", { class: "grow" }, "Keyboard"),
      h("button", { class: "plain", on: { click: () => dialog.close() } }, "Close"),
    ),
    h(
      "div",
      { class: "body" },
      ...list("Everywhere", GENERAL),
      h("br"),
      ...list("Timeline", TIMELINE),
      h("br"),
      ...list("Tick", TURN),
    ),
  );
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}
