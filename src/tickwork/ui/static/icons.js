// Small drawings for buttons: fonts differ in what they have.

import { h } from "/static/dom.js";

const PATHS = {
  first: "M3 3v10M13 3 5.5 8 13 13z",
  back: "M11.5 3 4 8l7.5 5z",
  play: "M4.5 2.5 13 8l-8.500 5.500z",
  pause: "M4 3h3v10H4zM9 3h3v10H9z",
  on: "M4.500 3 12 8l-7.500 5z",
  last: "M13 3v10M3 3l7.500 5L3 13z",
  sun: "M8 5a3 3 0 1 0 0 6 3 3 0 0 0 0-6zM8 1v1.500M8 13.500V15M1 8h1.500M13.500 8H15M3 3l1 1M12 12l1 1M13 3l-1 1M4 12l-1 1",
  moon: "M13.500 9.800A6 6 0 1 1 6.200 2.500a4.800 4.800 0 0 0 7.300 7.300z",
  copy: "M5.500 5.500v-3h8v8h-3M2.500 5.500h8v8h-8z",
};

export function icon(name) {
  const solid = !["sun", "copy"].includes(name);
  return h(
    "svg",
    {
      viewBox: "0 0 16 16",
      width: 14,
      height: 14,
      "aria-hidden": "true",
      fill: solid ? "currentColor" : "none",
      stroke: "currentColor",
      "stroke-width": 1.4,
      "stroke-linejoin": "round",
      "stroke-linecap": "round",
    },
    h("path", { d: PATHS[name] }),
  );
}
