// What the marks of the timeline mean.

import { h } from "/static/dom.js";

const LEGEND = [
  ["turn", "turn"],
  ["failed", "failed"],
  ["refused", "refused"],
  ["request", "model or tool"],
  ["fault", "fault"],
  ["recovery", "goes on"],
  ["note", "warning"],
  ["membership", "spawn or stop"],
  ["input", "input"],
  ["output", "output"],
  ["snapshot", "snapshot"],
];

/** The marks with their names; screen readers are told of a turn's marks in words. */
export function legend() {
  return h(
    "span",
    { class: "legend", "aria-hidden": "true" },
    LEGEND.map(([name, text]) => h("span", { class: name }, text)),
  );
}
