// The timeline: agents as lanes, ticks as columns, messages as arrows, and what is selected beside it.

import { ask, Latest } from "/static/api.js";
import { announce, empty, failed, fill, h, loading } from "/static/dom.js";
import { colours, draw } from "/static/draw.js";
import { standing as heard, watch } from "/static/follow.js";
import { legend } from "/static/legend.js";
import { overview } from "/static/overview.js";
import { pointer } from "/static/pointer.js";
import { go, note, numberOf } from "/static/route.js";
import { saving } from "/static/save.js";
import { rowsOf } from "/static/timelinerows.js";
import { transport } from "/static/transport.js";
import { nearestTrouble } from "/static/trouble.js";
import { point, tickView, turnView } from "/static/turnview.js";
import { GUTTER, RULER, View } from "/static/view.js";

const DETAIL_TICKS = 400;
const DETAIL_PX = 5;
const FETCH_MS = 60;

export function timeline(asked, { run }) {
  const view = new View();
  const selected = { tick: null, lane: null, agent: null, pointed: null };
  const names = new Map();
  const latest = new Latest();
  const latestTurn = new Latest();
  let answer = null;
  let colour = null;
  let frame = 0;
  let fetching = 0;
  let generation = null;
  let closed = false;

  const canvas = h("canvas", {
    class: "lanes",
    tabindex: 0,
    role: "application",
    "aria-label": "Timeline. Arrow keys move by tick and agent; Enter opens the turn.",
    "aria-describedby": "live",
  });
  const strip = overview(view, () => changed());
  const cover = h("div", {}, loading("Reading the run"));
  const pointed = pointer(canvas, {
    view,
    names,
    answer: () => answer,
    changed: () => changed(),
    choose: pick,
    open: () => open(),
  });
  const stage = h("div", { class: "stage" }, strip.canvas, canvas, pointed.tip, cover);
  const aside = h("aside", { "aria-label": "What is selected" });
  const controls = transport({
    tick: () => selected.tick,
    bounds: () => [view.first, view.end - 1],
    choose: (tick) => choose(tick, selected.lane),
  });
  const button = (text, title, click) =>
    h("button", { class: "plain", title, "aria-label": title, on: { click } }, text);
  const node = h(
    "div",
    { class: "timeline" },
    h(
      "div",
      { class: "bar" },
      button("−", "Zoom out (-)", () => zoom(1.6)),
      button("+", "Zoom in (+)", () => zoom(1 / 1.6)),
      button("All ticks", "Show the whole run (0)", () => {
        view.showAll();
        changed();
      }),
      button("All agents", "Make the lanes as low as it takes to show all agents", () => {
        view.fitLanes();
        changed();
      }),
      button("Lanes −", "Lower lanes", () => {
        view.zoomLanes(1 / 1.3, RULER);
        changed();
      }),
      button("Lanes +", "Higher lanes", () => {
        view.zoomLanes(1.3, RULER);
        changed();
      }),
      button("⟨ trouble", "The previous thing that went wrong (p)", () => trouble(-1)),
      button("trouble ⟩", "The next thing that went wrong (n)", () => trouble(1)),
      legend(),
      saving(
        () =>
          answer && {
            name: `${run}-timeline-${answer.first}-${answer.last}`,
            content: answer,
            rows: rowsOf(answer),
          },
      ),
    ),
    h("div", { class: "middle" }, stage, aside),
    controls.node,
  );

  // ---- what is in sight

  function changed() {
    if (!frame) frame = requestAnimationFrame(paint);
    // Not put off by what changes meanwhile: a run that is played or followed changes all the time.
    fetching ||= setTimeout(fetch, FETCH_MS);
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
    draw(context, view, answer, selected, pointed.hovered(), colour);
    strip.draw(colour, selected);
    controls.show();
    node.dataset.drawn = answer?.detail ? "detail" : answer?.density ? "density" : "";
  }

  async function fetch() {
    fetching = 0;
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
        run,
        first: Math.max(Math.floor(view.from) - narrow, 0),
        last: Math.max(Math.ceil(view.to) + narrow, 0),
        lane: low,
        lanes: lane - low + lanes + around,
        detail: near,
        columns: Math.ceil(((view.width - GUTTER) / 3) * 1.7),
        rows: Math.ceil((lane - low + lanes + around) * Math.min(1, view.lane / 3)),
      });
      if (found === null || closed) return;
      answer = found;
      if (found.end_tick > found.first_tick) fill(cover);
      for (const row of found.rows) if (row.count === 1) names.set(row.index, row.id);
      if (!frame) frame = requestAnimationFrame(paint);
    } catch (error) {
      if (!closed && answer === null) fill(cover, failed(error, fetch));
    }
  }

  async function fetchOverview() {
    try {
      strip.take(
        await ask("timeline", {
          run,
          columns: Math.max(Math.floor((view.width - GUTTER) / 2), 10),
          rows: 1,
          lanes: Math.max(view.agents, 1),
        }),
      );
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
    if (controls.following() && (growing || standing.status === "running"))
      choose(standing.end_tick - 1, selected.lane, { quietly: true });
    if (standing.end_tick === standing.first_tick)
      fill(cover, empty("No tick yet", "The run has begun, and its first tick is not in the file."));
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
      seek(wanted, asked.get("agent"), { pointed: asked.get("at") });
    } else {
      controls.follow(standing.status === "running");
      show();
    }
  }

  /** Choose what an address names, as soon as it is known which lane that is. */
  async function seek(tick, agent, options = {}) {
    try {
      const lane = await locate(agent);
      if (!closed) choose(tick, lane, options);
    } catch (error) {
      if (!closed) fill(aside, failed(error, () => seek(tick, agent, options)));
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
    selected.agent = lane === null ? null : (names.get(lane) ?? null);
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
      const agent = lane === null ? null : (names.get(lane) ?? null);
      const found =
        agent === null
          ? await latestTurn.ask("tick", { run, tick, limit: 200 })
          : await latestTurn.ask("turn", { run, tick, agent });
      if (found === null || closed) return;
      fill(aside, agent === null ? tickView(found, run) : turnView(found, { run, compact: true }));
      point(aside, selected.pointed);
    } catch (error) {
      if (!closed) fill(aside, failed(error));
    }
  }

  /** Choose what was clicked: nothing of it may be known, as beside the lanes. */
  function pick(tick, lane, options) {
    choose(tick ?? selected.tick ?? Math.floor(view.from), lane, options);
  }

  function step(ticks) {
    choose(selected.tick === null ? view.first : selected.tick + ticks, selected.lane);
  }

  function lanes(by) {
    const lane =
      selected.lane === null ? view.lanes.first : Math.max(0, Math.min(selected.lane + by, view.agents - 1));
    choose(selected.tick ?? Math.floor(view.from), lane);
  }

  function zoom(factor) {
    view.zoom(
      factor,
      selected.tick !== null && selected.tick >= view.from && selected.tick < view.to
        ? view.middle(selected.tick)
        : (view.width + GUTTER) / 2,
    );
    changed();
  }

  async function trouble(direction) {
    try {
      const found = await nearestTrouble(run, view, selected.tick, direction);
      if (found !== null && found.lane !== null && !names.has(found.lane)) await fetchNames(found.lane);
      if (!closed) visit(found);
    } catch (error) {
      if (!closed) pointed.say(error.message);
    }
  }

  function visit(found) {
    if (found === null) {
      announce("Nothing more went wrong in this direction");
      pointed.say("Nothing more went wrong in this direction");
      return;
    }
    view.centre(found.tick, Math.min(view.to - view.from, 60));
    choose(found.tick, found.lane ?? selected.lane);
  }

  async function fetchNames(lane) {
    const { agents } = await ask("agents", { run, offset: lane, limit: 1 });
    if (agents.length) names.set(lane, agents[0].id);
  }

  function open() {
    if (selected.tick !== null) go("tick", { run, tick: selected.tick, agent: selected.agent });
  }

  function key(event) {
    const moves = {
      ArrowLeft: () => step(event.shiftKey ? -10 : -1),
      ArrowRight: () => step(event.shiftKey ? 10 : 1),
      ArrowUp: () => lanes(-1),
      ArrowDown: () => lanes(1),
      Home: () => choose(view.first, selected.lane),
      End: () => choose(view.end - 1, selected.lane),
      " ": () => controls.toggle(),
      Enter: open,
      "+": () => zoom(1 / 1.6),
      "=": () => zoom(1 / 1.6),
      "-": () => zoom(1.6),
      0: () => {
        view.showAll();
        changed();
      },
      n: () => trouble(1),
      p: () => trouble(-1),
    };
    const move = moves[event.key];
    const onButton =
      event.target.closest?.("button, a, summary") && (event.key === " " || event.key === "Enter");
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
  const themed = () => {
    colour = null;
    changed();
  };
  addEventListener("theme", themed);
  const unwatch = watch(learn);
  learn(heard);

  return {
    node,
    title: "Timeline",
    key,
    update: (next) => {
      const tick = numberOf(next, "tick");
      if (tick !== null && tick !== selected.tick)
        seek(tick, next.get("agent"));
    },
    close: () => {
      closed = true;
      unwatch();
      size.disconnect();
      removeEventListener("theme", themed);
      controls.close();
      latest.cancel();
      clearTimeout(fetching);
    },
  };
}
