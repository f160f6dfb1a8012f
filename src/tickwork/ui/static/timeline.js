// The timeline: agents as lanes, ticks as columns, messages as arrows, and what is selected beside it.

import { ask, Latest } from "/static/api.js";
import { announce, empty, failed, fill, h, loading, said } from "/static/dom.js";
import { arrowPath, colours, draw, turnWidth } from "/static/draw.js";
import { standing as heard, watch } from "/static/follow.js";
import { count } from "/static/format.js";
import { overview } from "/static/overview.js";
import { go, link, note, numberOf } from "/static/route.js";
import { saving } from "/static/save.js";
import { transport } from "/static/transport.js";
import { point, tickView, turnView } from "/static/turnview.js";
import { GUTTER, RULER, View } from "/static/view.js";

const DETAIL_TICKS = 400;
const DETAIL_PX = 5;
const FETCH_MS = 60;
const MARKED = 0b1111;

export function timeline(asked, { run }) {
  const view = new View();
  const selected = { tick: null, lane: null, agent: null, pointed: null };
  const names = new Map();
  const latest = new Latest();
  const latestTurn = new Latest();
  let answer = null;
  let hovered = null;
  let colour = null;
  let frame = 0;
  let fetching = 0;
  let generation = null;
  let drag = null;
  let closed = false;

  const canvas = h("canvas", { class: "lanes", tabindex: 0, role: "application", "aria-label": "Timeline. Arrow keys move by tick and agent; Enter opens the turn.", "aria-describedby": "live" });
  const tip = h("div", { class: "tip", hidden: true });
  const strip = overview(view, () => changed());
  const cover = h("div", {}, loading("Reading the run"));
  const stage = h("div", { class: "stage" }, strip.canvas, canvas, tip, cover);
  const aside = h("aside", { "aria-label": "What is selected" });
  const controls = transport({
    tick: () => selected.tick,
    bounds: () => [view.first, view.end - 1],
    choose: (tick) => choose(tick, selected.lane),
  });
  const legend = h("span", { class: "legend", "aria-hidden": "true" },
    h("span", {}, "turn"), h("span", { class: "failed" }, "failed"), h("span", { class: "refused" }, "refused"),
    h("span", { class: "request" }, "model or tool"), h("span", { class: "note" }, "warning"), h("span", { class: "snapshot" }, "snapshot"));
  const button = (text, title, click) => h("button", { class: "plain", title, "aria-label": title, on: { click } }, text);
  const node = h("div", { class: "timeline" },
    h("div", { class: "bar" },
      button("−", "Zoom out (-)", () => zoom(1.6)), button("+", "Zoom in (+)", () => zoom(1 / 1.6)),
      button("All ticks", "Show the whole run (0)", () => { view.showAll(); changed(); }),
      button("All agents", "Make the lanes as low as it takes to show all agents", () => { view.fitLanes(); changed(); }),
      button("Lanes −", "Lower lanes", () => { view.zoomLanes(1 / 1.3, RULER); changed(); }), button("Lanes +", "Higher lanes", () => { view.zoomLanes(1.3, RULER); changed(); }),
      button("⟨ trouble", "The previous thing that went wrong (p)", () => trouble(-1)), button("trouble ⟩", "The next thing that went wrong (n)", () => trouble(1)),
      h("span", { class: "grow" }), legend,
      saving(() => answer && { name: `${run}-timeline-${answer.first}-${answer.last}`, content: answer, rows: rowsOf(answer) })),
    h("div", { class: "middle" }, stage, aside), controls.node);

  // ---- what is in sight

  function changed() {
    if (!frame) frame = requestAnimationFrame(paint);
    clearTimeout(fetching);
    fetching = setTimeout(fetch, FETCH_MS);
  }

  function paint() {
    frame = 0;
    colour ??= colours();
    const scale = devicePixelRatio || 1;
    canvas.width = Math.round(view.width * scale);
    canvas.height = Math.round(view.height * scale);
    canvas.style.height = `${view.height}px`;
    const context = canvas.getContext("2d");
    context.scale(scale, scale);
    draw(context, view, answer, selected, hovered, colour);
    strip.draw(colour, selected);
    controls.show();
    node.dataset.drawn = answer?.detail ? "detail" : answer?.density ? "density" : "";
  }

  async function fetch() {
    if (closed || view.agents === 0) return;
    const span = view.to - view.from;
    const pad = Math.ceil(span / 3);
    const { first: lane, count: lanes } = view.lanes;
    const around = Math.min(30, lanes);
    const near = view.tickPx >= DETAIL_PX && span <= DETAIL_TICKS;
    const narrow = near && span + 2 * pad > DETAIL_TICKS ? 2 : pad;
    const low = Math.max(0, lane - around);
    try {
      const found = await latest.ask("timeline", {
        run, first: Math.max(Math.floor(view.from) - narrow, 0), last: Math.max(Math.ceil(view.to) + narrow, 0),
        lane: low, lanes: lane - low + lanes + around, detail: near,
        columns: Math.ceil(((view.width - GUTTER) / 3) * 1.7), rows: Math.ceil((lane - low + lanes + around) * Math.min(1, view.lane / 3)),
      });
      if (found === null || closed) return;
      answer = found;
      for (const row of found.rows) if (row.count === 1) names.set(row.index, row.id);
      if (!frame) frame = requestAnimationFrame(paint);
    } catch (error) {
      if (!closed && answer === null) fill(cover, failed(error, fetch));
    }
  }

  async function fetchOverview() {
    try {
      strip.take(await ask("timeline", { run, columns: Math.max(Math.floor((view.width - GUTTER) / 2), 10), rows: 1, lanes: Math.max(view.agents, 1) }));
      changed();
    } catch {
      // The strip stays as it was; what is wrong is said where the lanes are.
    }
  }

  let lastOverview = 0;
  function learn(standing, { growing } = {}) {
    if (standing === null || closed) return;
    const fresh = standing.generation !== generation;
    generation = standing.generation;
    if (standing.error !== null && view.agents === 0) {
      fill(cover, failed(new Error(standing.error)));
      return;
    }
    if (fresh) {
      names.clear();
      answer = null;
    }
    if (standing.agents > 0) fill(cover);
    view.bound(standing.first_tick, standing.end_tick, standing.agents);
    if (fresh) begin(standing);
    if (controls.following() && (growing || standing.status === "running")) choose(standing.end_tick - 1, selected.lane, { quietly: true });
    if (standing.end_tick === standing.first_tick) fill(cover, empty("No tick yet", "The run has begun, and its first tick is not in the file."));
    const now = performance.now();
    if (fresh || now - lastOverview > 700 || standing.indexed === standing.end_tick) {
      lastOverview = now;
      fetchOverview();
    }
    changed();
  }

  function begin(standing) {
    const wanted = numberOf(asked, "tick");
    view.from = view.first;
    view.to = view.end;
    view.lane = Math.max(Math.min((view.height - RULER) / view.agents, 30), 16);
    if (wanted !== null) {
      view.centre(wanted, Math.min(Math.max(40, (view.width - GUTTER) / 24), view.end - view.first));
      locate(asked.get("agent")).then((lane) => choose(wanted, lane, { pointed: asked.get("at") }));
    } else {
      controls.follow(standing.status === "running");
      show();
    }
  }

  async function locate(agent) {
    if (!agent) return null;
    const { agents } = await ask("agents", { run, query: agent, limit: 1000 });
    const found = agents.find((member) => member.id === agent);
    if (found) names.set(found.index, found.id);
    return found?.index ?? null;
  }

  // ---- what is selected

  function choose(tick, lane, { quietly = false, pointed = null } = {}) {
    if (tick !== null) tick = Math.max(view.first, Math.min(tick, view.end - 1));
    selected.tick = tick;
    selected.lane = lane;
    selected.pointed = pointed;
    selected.agent = lane === null ? null : names.get(lane) ?? null;
    view.reveal(tick, lane);
    note("timeline", { run, tick, agent: selected.agent, at: pointed });
    if (!quietly) announce(`Tick ${tick}${selected.agent ? `, agent ${selected.agent}` : ""}`);
    changed();
    show();
  }

  let showing = 0;
  function show() {
    clearTimeout(showing);
    showing = setTimeout(showNow, 50);
  }

  async function showNow() {
    const { tick, lane } = selected;
    if (tick === null) {
      fill(aside, empty("Nothing selected", "Click a turn, or move with the arrow keys."));
      return;
    }
    try {
      const agent = lane === null ? null : names.get(lane) ?? null;
      const found = agent === null
        ? await latestTurn.ask("tick", { run, tick, limit: 200 })
        : await latestTurn.ask("turn", { run, tick, agent });
      if (found === null || closed) return;
      fill(aside, agent === null ? tickView(found, run) : turnView(found, { run, compact: true }));
      point(aside, selected.pointed);
    } catch (error) {
      if (!closed) fill(aside, failed(error));
    }
  }

  function step(ticks) {
    choose(selected.tick === null ? view.first : selected.tick + ticks, selected.lane);
  }

  function lanes(by) {
    const lane = selected.lane === null ? view.lanes.first : Math.max(0, Math.min(selected.lane + by, view.agents - 1));
    choose(selected.tick ?? Math.floor(view.from), lane);
  }

  function zoom(factor) {
    view.zoom(factor, selected.tick !== null && selected.tick >= view.from && selected.tick < view.to ? view.middle(selected.tick) : (view.width + GUTTER) / 2);
    changed();
  }

  /** Go to the nearest failure, refusal or request, first by counts and then by turn. */
  async function trouble(direction) {
    let [low, high] = direction > 0 ? [(selected.tick ?? view.first - 1) + 1, view.end - 1] : [view.first, (selected.tick ?? view.end) - 1];
    while (low <= high) {
      const near = high - low < 200;
      const found = await ask("timeline", { run, first: low, last: high, lanes: view.agents, columns: 200, rows: 200, detail: near });
      if (found.detail) {
        const turns = found.detail.turns.filter(([tick, , marks]) => marks & MARKED && tick >= low && tick <= high);
        const turn = direction > 0 ? turns[0] : turns.at(-1);
        if (turn) { if (!names.has(turn[1])) await fetchNames(turn[1]); view.centre(turn[0], Math.min(view.to - view.from, 60)); choose(turn[0], turn[1]); return; }
        break;
      }
      const { first, width, marks, kinds } = found.density;
      const columns = marks.filter((mark) => kinds[mark[2]] !== "notes").map((mark) => mark[1]).sort((a, b) => (a - b) * direction);
      if (columns.length === 0) break;
      const begin = first + columns[0] * width;
      if (near && width === 1) { choose(begin, selected.lane); return; }
      [low, high] = [Math.max(low, begin), Math.min(high, begin + width - 1)];
    }
    announce("Nothing more went wrong in this direction");
    tip.textContent = "Nothing more went wrong in this direction";
    Object.assign(tip.style, { left: `${GUTTER + 20}px`, top: "60px" });
    tip.hidden = false;
  }

  async function fetchNames(lane) {
    const { agents } = await ask("agents", { run, offset: lane, limit: 1 });
    if (agents.length) names.set(lane, agents[0].id);
  }

  // ---- the pointer

  function hitArrow(x, y) {
    if (!answer?.detail || view.tickPx < 6) return null;
    const width = turnWidth(view);
    let best = null;
    let nearest = 5;
    for (const message of answer.detail.messages) {
      const path = arrowPath(view, message, width);
      if (x < path.x || x > path.end) continue;
      const t = (x - path.x) / Math.max(path.end - path.x, 1);
      const eased = t * t * (3 - 2 * t);
      const off = Math.abs(path.y + (path.bottom - path.y) * eased - y);
      if (off < nearest) { nearest = off; best = message; }
    }
    return best;
  }

  function hover(event) {
    const { offsetX: x, offsetY: y } = event;
    const message = x > GUTTER && y > RULER ? hitArrow(x, y) : null;
    if (message !== hovered) { hovered = message; changed(); }
    const lane = view.laneAt(y);
    const text = y > RULER && lane < view.agents ? told(message, view.tickAt(x), lane, x) : null;
    tip.hidden = text === null;
    if (text === null) return;
    fill(tip, ...text);
    const room = stage.getBoundingClientRect();
    tip.style.left = `${Math.min(x + 14, room.width - tip.offsetWidth - 8)}px`;
    tip.style.top = `${Math.min(y + 46 + 14, room.height - tip.offsetHeight - 8)}px`;
  }

  function told(message, tick, lane, x) {
    if (message) {
      const [sent, from, , found, to, topic] = message;
      return [h("strong", {}, said(answer.detail.topics[topic])), h("div", {}, said(names.get(from) ?? `#${from}`), " → ", said(names.get(to) ?? `#${to}`)), h("div", { class: "dim" }, `sent in tick ${count(sent)}, found in ${count(found)}`)];
    }
    const name = names.get(lane);
    if (x < GUTTER) return name ? [said(name)] : null;
    const turn = answer?.detail?.turns.find((each) => each[0] === tick && each[1] === lane);
    if (!turn) return answer?.detail ? null : [said(name ?? `agents from #${lane}`), h("div", { class: "dim" }, `around tick ${count(tick)}`)];
    const marks = answer.detail.marks.filter((_, place) => turn[2] & (1 << place));
    return [h("strong", {}, said(name ?? `#${lane}`)), ` in tick ${count(tick)}`, h("div", { class: "dim" }, `${count(turn[4])} effects, ${count(turn[3])} fuel`), marks.length > 0 && h("div", {}, marks.join(", "))];
  }

  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    drag = { x: event.offsetX, y: event.offsetY, far: false };
  });
  canvas.addEventListener("pointermove", (event) => {
    if (drag === null) { hover(event); return; }
    const [dx, dy] = [event.offsetX - drag.x, event.offsetY - drag.y];
    if (!drag.far && Math.hypot(dx, dy) < 4) return;
    view.move(dx, dy);
    drag = { x: event.offsetX, y: event.offsetY, far: true };
    tip.hidden = true;
    changed();
  });
  canvas.addEventListener("pointerup", (event) => {
    const click = drag !== null && !drag.far;
    drag = null;
    if (!click) return;
    const { offsetX: x, offsetY: y } = event;
    const message = y > RULER && x > GUTTER ? hitArrow(x, y) : null;
    if (message) { choose(message[0], message[1], { pointed: `effect-${message[2]}` }); return; }
    const lane = view.laneAt(y);
    const inLane = y > RULER && lane < view.agents;
    choose(x > GUTTER ? view.tickAt(x) : selected.tick ?? Math.floor(view.from), inLane ? lane : null);
  });
  canvas.addEventListener("dblclick", () => open());
  canvas.addEventListener("pointerleave", () => { tip.hidden = true; if (hovered) { hovered = null; changed(); } });
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    const unit = event.deltaMode === 1 ? 18 : 1;
    if (event.shiftKey) view.move(-(event.deltaY || event.deltaX) * unit, 0);
    else if (event.offsetX < GUTTER && event.ctrlKey) view.zoomLanes(Math.exp(-event.deltaY * unit * 0.002), event.offsetY);
    else if (event.offsetX < GUTTER) view.move(0, -event.deltaY * unit);
    else if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) view.move(-event.deltaX * unit, 0);
    else view.zoom(Math.exp(event.deltaY * unit * 0.0018), event.offsetX);
    changed();
  }, { passive: false });

  function open() {
    if (selected.tick !== null) go("tick", { run, tick: selected.tick, agent: selected.agent });
  }

  function key(event) {
    const moves = {
      ArrowLeft: () => step(event.shiftKey ? -10 : -1), ArrowRight: () => step(event.shiftKey ? 10 : 1),
      ArrowUp: () => lanes(-1), ArrowDown: () => lanes(1),
      Home: () => choose(view.first, selected.lane), End: () => choose(view.end - 1, selected.lane),
      " ": () => controls.toggle(), Enter: open, "+": () => zoom(1 / 1.6), "=": () => zoom(1 / 1.6), "-": () => zoom(1.6),
      0: () => { view.showAll(); changed(); }, n: () => trouble(1), p: () => trouble(-1),
    };
    const move = moves[event.key];
    const onButton = event.target.closest?.("button, a, summary") && (event.key === " " || event.key === "Enter");
    if (!move || onButton || (event.target.type === "range" && event.key.startsWith("Arrow"))) return false;
    move();
    return true;
  }

  const size = new ResizeObserver(() => {
    const room = stage.getBoundingClientRect();
    view.width = Math.max(room.width, 200);
    view.height = Math.max(room.height - 47, 80);
    canvas.style.width = `${view.width}px`;
    view.settle();
    changed();
  });
  size.observe(stage);
  const themed = () => { colour = null; changed(); };
  addEventListener("theme", themed);
  const unwatch = watch(learn);
  learn(heard);

  return {
    node,
    title: "Timeline",
    key,
    update: (next) => {
      const tick = numberOf(next, "tick");
      if (tick !== null && tick !== selected.tick) locate(next.get("agent")).then((lane) => choose(tick, lane));
    },
    close: () => { closed = true; unwatch(); size.disconnect(); removeEventListener("theme", themed); controls.close(); latest.cancel(); clearTimeout(fetching); },
  };
}

function rowsOf(answer) {
  const id = new Map(answer.rows.map((row) => [row.index, row.id]));
  if (answer.detail) return answer.detail.turns.map(([tick, lane, marks, fuel, effects]) => ({ tick, agent: id.get(lane) ?? lane, effects, fuel, marks: answer.detail.marks.filter((_, place) => marks & (1 << place)).join(" ") }));
  const { first, width, columns, turns, messages } = answer.density;
  return answer.rows.flatMap((row, place) => Array.from({ length: columns }, (_, column) => ({ tick: first + column * width, ticks: width, agent: row.id, agents: row.count, turns: turns[place * columns + column], messages: messages[place * columns + column] }))).filter((row) => row.turns > 0);
}
