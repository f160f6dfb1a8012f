// Elements made of parts. Text from a run is only ever a text node or a property: nothing of it is parsed.

const SVG = "http://www.w3.org/2000/svg";
const SVG_TAGS = new Set([
  "svg",
  "g",
  "path",
  "rect",
  "line",
  "polyline",
  "polygon",
  "circle",
  "text",
  "title",
  "defs",
  "marker",
]);

/** Make an element. Attributes: `class`, `on` (listeners by event), `value`-like properties, and all others. */
export function h(tag, attributes = {}, ...children) {
  const node = SVG_TAGS.has(tag) ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "on")
      for (const [kind, listener] of Object.entries(value)) node.addEventListener(kind, listener);
    else if (name === "value" || name === "checked" || name === "disabled") node[name] = value;
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  append(node, children);
  return node;
}

function append(node, children) {
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== false) node.append(child);
  }
}

/** Put `children` in the place of all that a node has. */
export function fill(node, ...children) {
  node.replaceChildren();
  append(node, children);
  return node;
}

/** Text from a run: its control characters shown, its direction kept to itself. */
export function said(text) {
  return h("bdi", {}, visible(text));
}

// Controls but for tab and line feed, and what changes the direction or cannot be seen.
const UNSEEN =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

/** Return `text` with every character that cannot be seen as its code. */
export function visible(text) {
  return String(text).replace(UNSEEN, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

export function loading(what = "Loading") {
  return h("p", { class: "state", role: "status" }, h("span", { class: "spinner" }), `${what}…`);
}

export function failed(error, again = null) {
  return h(
    "div",
    { class: "state failed", role: "alert" },
    h("strong", {}, "This cannot be shown"),
    said(error.message ?? error),
    again && h("p", {}, h("button", { on: { click: again } }, "Try again")),
  );
}

export function empty(title, text = "") {
  return h("p", { class: "state" }, h("strong", {}, title), text);
}

/** Tell a screen reader, and nobody else. */
export function announce(text) {
  document.getElementById("live").textContent = text;
}
