// Causes and consequences of a turn as a graph: ticks from left to right.

import { empty, h, visible } from "/static/dom.js";
import { go } from "/static/route.js";

const WIDE = 150,
  TALL = 34,
  GAP_X = 44,
  GAP_Y = 8,
  SHOWN = 120;

export function traceGraph(trace, run) {
  const near = trace.turns
    .map((turn, place) => ({ ...turn, place }))
    .sort((a, b) => Math.abs(a.depth) - Math.abs(b.depth) || a.tick - b.tick)
    .slice(0, SHOWN);
  const ticks = [...new Set(near.map((turn) => turn.tick))].sort((a, b) => a - b);
  const columns = new Map(ticks.map((tick) => [tick, []]));
  for (const turn of near.sort((a, b) => a.index - b.index)) columns.get(turn.tick).push(turn);
  const rows = Math.max(...[...columns.values()].map((column) => column.length));
  const height = rows * (TALL + GAP_Y) + 30;
  const width = ticks.length * (WIDE + GAP_X) + 20;
  const at = new Map();
  ticks.forEach((tick, column) =>
    columns.get(tick).forEach((turn, row) => {
      const lift = ((rows - columns.get(tick).length) * (TALL + GAP_Y)) / 2;
      at.set(turn.place, { x: 10 + column * (WIDE + GAP_X), y: 24 + lift + row * (TALL + GAP_Y) });
    }),
  );
  const svg = h(
    "svg",
    {
      width,
      height,
      viewBox: `0 0 ${width} ${height}`,
      role: "img",
      "aria-label": `${trace.turns.length - 1} causes and consequences`,
    },
    trace.links.map((link) => edge(link, at)),
    near.map((turn) => nodeOf(turn, at.get(turn.place), run)),
  );
  const graph = h("div", { class: "graph", tabindex: 0 }, svg);
  requestAnimationFrame(() => {
    const start = at.get(0);
    if (start) graph.scrollTo(start.x - graph.clientWidth / 2 + WIDE / 2, start.y - graph.clientHeight / 2);
  });
  const left = trace.turns.length - near.length;
  const inputs = trace.links.filter((link) => link.source === null).length;
  const told = [
    trace.turns.length === 1 && "No other turn led here or came of it within these ticks.",
    inputs > 0 && `${inputs} came from outside.`,
    left > 0 && `${left} more are not drawn.`,
    trace.cut && "The trace goes on beyond these ticks.",
  ]
    .filter(Boolean)
    .join(" ");
  return trace.turns.length === 1 && inputs === 0
    ? empty("Nothing to follow", told)
    : h("div", {}, graph, told && h("p", { class: "dim" }, told));
}

function edge(link, at) {
  const from = at.get(link.source);
  const to = at.get(link.target);
  if (!from || !to) return null;
  const [x, y] = [from.x + WIDE, from.y + TALL / 2];
  const [end, bottom] = [to.x, to.y + TALL / 2];
  const bend = Math.max((end - x) / 2, 12);
  return h(
    "path",
    { class: `edge ${link.kind}`, d: `M${x} ${y}C${x + bend} ${y} ${end - bend} ${bottom} ${end} ${bottom}` },
    h("title", {}, `${link.kind}: ${visible(link.topic)}`),
  );
}

function nodeOf(turn, place, run) {
  const open = () => go("tick", { run, tick: turn.tick, agent: turn.agent });
  const text = visible(turn.agent);
  return h(
    "g",
    {
      class: `node ${turn.depth === 0 ? "start" : ""} ${turn.outcome === "ok" ? "" : "bad"}`,
      tabindex: 0,
      role: "link",
      transform: `translate(${place.x} ${place.y})`,
      "aria-label": `${text} in tick ${turn.tick}`,
      on: {
        click: open,
        keydown: (event) => {
          if (event.key === "Enter") open();
        },
      },
    },
    h("rect", { width: WIDE, height: TALL, rx: 6 }),
    h("text", { x: 9, y: 14 }, text.length > 22 ? `${text.slice(0, 21)}…` : text),
    h(
      "text",
      { class: "when", x: 9, y: 27 },
      `tick ${turn.tick}${turn.outcome === "ok" ? "" : ` · ${turn.outcome}`}`,
    ),
  );
}
