// Two small charts: bars for what each turn used, a line for how something grew.

import { h } from "/static/dom.js";

const WIDE = 600;

/** What the highest bar stands for: one that dwarfs all others, as a set-up does, is cut off. */
function scale(values) {
  const [first = 1, second = first] = [...values].sort((a, b) => b - a);
  return Math.max(1, first > 4 * second ? second : first);
}

/** Bars by tick; `points` are `{tick, value, bad}`. `chosen(tick)` is called for a click. */
export function bars(points, first, last, now, label, chosen, height = 70) {
  const most = scale(points.map((point) => point.value));
  const wide = WIDE / Math.max(last - first + 1, 1);
  const svg = h(
    "svg",
    {
      class: "chart",
      viewBox: `0 0 ${WIDE} ${height}`,
      preserveAspectRatio: "none",
      height,
      role: "img",
      "aria-label": label,
    },
    points.map(({ tick, value, bad }) => {
      const tall = Math.max(Math.min(value / most, 1) * (height - 6), 1.5);
      return h(
        "rect",
        {
          class: `bar ${bad ? "bad" : ""} ${value > most ? "cut" : ""}`,
          x: (tick - first) * wide + wide * 0.1,
          y: height - tall,
          width: Math.max(wide * 0.8, 0.8),
          height: tall,
        },
        h("title", {}, `tick ${tick}: ${value.toLocaleString("en")}`),
      );
    }),
    h("line", {
      class: "now",
      x1: (now - first + 0.5) * wide,
      x2: (now - first + 0.5) * wide,
      y1: 0,
      y2: height,
    }),
  );
  svg.addEventListener("click", (event) => {
    const room = svg.getBoundingClientRect();
    chosen(Math.floor(first + ((event.clientX - room.left) / room.width) * (last - first + 1)));
  });
  return svg;
}

/** A line by tick that stays until the next point. */
export function steps(points, first, last, now, label, height = 70) {
  const most = Math.max(1, ...points.map((point) => point.value));
  const x = (tick) => ((tick - first) / Math.max(last - first, 1)) * WIDE;
  const y = (value) => height - 2 - (value / most) * (height - 10);
  let path = "";
  for (const { tick, value } of points) path += path ? `H${x(tick)}V${y(value)}` : `M${x(tick)} ${y(value)}`;
  path += `H${WIDE}`;
  const begin = points.length ? x(points[0].tick) : 0;
  return h(
    "svg",
    {
      class: "chart",
      viewBox: `0 0 ${WIDE} ${height}`,
      preserveAspectRatio: "none",
      height,
      role: "img",
      "aria-label": label,
    },
    h("path", { class: "area", d: `${path}V${height}H${begin}Z` }),
    h("path", { class: "line", d: path }),
    h("line", { class: "now", x1: x(now), x2: x(now), y1: 0, y2: height }),
  );
}
