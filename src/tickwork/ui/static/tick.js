// One tick, and one agent in it: everything that the record, the snapshots and the agent itself can tell.

import { ask, Latest } from "/static/api.js";
import { bars, steps } from "/static/chart.js";
import { announce, empty, failed, fill, h, loading, said } from "/static/dom.js";
import { standing, watch } from "/static/follow.js";
import { bodyOf, coloured, count, plural, size } from "/static/format.js";
import { panel } from "/static/panel.js";
import { go, numberOf } from "/static/route.js";
import { saving } from "/static/save.js";
import { traceGraph } from "/static/tracegraph.js";
import { point, tickView, turnView } from "/static/turnview.js";

const SPAN = 120;

export function tick(asked, { run }) {
  const latestTick = new Latest();
  const latestTurn = new Latest();
  const latestHistory = new Latest();
  const field = h("input", {
    type: "number",
    min: 0,
    "aria-label": "Tick",
    on: { change: () => field.value !== "" && to(Number(field.value)) },
  });
  const side = h("div", { class: "side" });
  const centre = h("div", { class: "stack" }, loading());
  const node = h(
    "div",
    { class: "page" },
    h(
      "header",
      {},
      h("h1", {}, "Tick"),
      field,
      h("button", { title: "One tick back (←)", on: { click: () => to(at - 1) } }, "←"),
      h("button", { title: "One tick on (→)", on: { click: () => to(at + 1) } }, "→"),
      h(
        "button",
        { class: "plain", title: "The agent's turn before ([)", on: { click: () => turnNear(-1) } },
        "⟨ its turn",
      ),
      h(
        "button",
        { class: "plain", title: "The agent's turn after (])", on: { click: () => turnNear(1) } },
        "its turn ⟩",
      ),
      h("span", { class: "grow" }),
      saving(
        () =>
          view && { name: `${run}-tick-${at}${agent ? `-${agent}` : ""}`, content: view, rows: rowsOf(view) },
      ),
    ),
    h("div", { class: "split" }, side, centre),
  );
  let at = null;
  let pointed = null;
  let agent = null;
  let view = null;
  let turns = [];
  let closed = false;

  const to = (tick) => go("tick", { run, tick: Math.max(tick, 0), agent });

  function turnNear(direction) {
    const found = direction > 0 ? turns.find(([tick]) => tick > at) : turns.findLast(([tick]) => tick < at);
    if (found) to(found[0]);
    else announce("No more turns of this agent nearby");
  }

  async function show(next) {
    const wanted = numberOf(next, "tick");
    if (wanted === null) {
      if (standing === null) return;
      go("tick", {
        run,
        tick: Math.max(standing.end_tick - 1, standing.first_tick),
        agent: next.get("agent"),
      });
      return;
    }
    [at, agent, pointed] = [wanted, next.get("agent") || null, next.get("at")];
    field.value = at;
    announce(`Tick ${at}${agent ? `, agent ${agent}` : ""}`);
    showTick();
    showTurn();
  }

  async function showTick() {
    try {
      const found = await latestTick.ask("tick", { run, tick: at, limit: 1000 });
      if (found === null || closed) return;
      fill(side, tickView(found, run, agent));
      side.querySelector('[aria-selected="true"]')?.scrollIntoView({ block: "nearest" });
      if (agent === null) {
        view = found;
        fill(centre, empty("Choose an agent", "The turns of this tick are on the left."));
      }
    } catch (error) {
      if (!closed) {
        fill(side, failed(error));
        if (agent === null) fill(centre);
      }
    }
  }

  async function showTurn() {
    if (agent === null) return;
    try {
      const found = await latestTurn.ask("turn", { run, tick: at, agent });
      if (found === null || closed) return;
      view = found;
      fill(centre, turnView(found, { run }), causes(found), state(found), overTime(found), standings(found));
      point(centre, pointed);
    } catch (error) {
      if (!closed) fill(centre, failed(error));
    }
  }

  function causes(turn) {
    const body = h("div", { class: "body" });
    const reach = h(
      "select",
      { "aria-label": "How far to look", on: { change: follow } },
      [10, 50, 200, 500].map((ticks) =>
        h("option", { value: ticks, selected: ticks === 10 }, `${ticks} ticks each way`),
      ),
    );
    async function follow() {
      fill(body, loading("Following messages"));
      try {
        fill(
          body,
          traceGraph(
            await ask("trace", { run, tick: turn.tick, agent: turn.agent, reach: reach.value }),
            run,
          ),
        );
      } catch (error) {
        fill(body, failed(error, follow));
      }
    }
    if (turn.outcome === null) return null;
    follow();
    return h(
      "section",
      { class: "panel" },
      h("header", {}, h("h2", { class: "grow" }, "Causes and consequences"), reach),
      body,
    );
  }

  function state(turn) {
    const body = h("div", { class: "body" });
    async function look() {
      fill(body, loading("Running the agent again, alone, up to this tick"));
      try {
        const found = await ask("state", { run, tick: turn.tick, agent: turn.agent });
        fill(
          body,
          h("pre", { class: "content", tabindex: 0 }, ...coloured(JSON.stringify(found.state, null, 2))),
        );
      } catch (error) {
        fill(body, failed(error));
      }
    }
    if (turn.python) fill(body, h("button", { on: { click: look } }, "Show its attributes before this tick"));
    else
      fill(
        body,
        h(
          "p",
          { class: "dim" },
          "This agent is not written in Python. `tickwork inspect --at` shows its memory.",
        ),
      );
    return h("section", { class: "panel" }, h("header", {}, h("h2", {}, "State")), body);
  }

  function overTime(turn) {
    const body = h("div", { class: "body" }, loading());
    const first = Math.max(turn.first_tick, turn.tick - SPAN);
    const last = Math.min(turn.end_tick - 1, turn.tick + SPAN);
    latestHistory
      .ask("history", { run, agent: turn.agent, first, last })
      .then((found) => {
        if (found === null || closed) return;
        turns = found.turns;
        const fuel = found.turns.map(([tick, value, , marks]) => ({ tick, value, bad: marks & 1 }));
        const memory = found.memory.map(([tick, value]) => ({ tick, value }));
        const changed = found.memory.map(([tick, , value]) => ({ tick, value }));
        const end = Math.max(turn.end_tick, 1);
        fill(
          body,
          h("h3", {}, `Fuel by turn, ticks ${count(first)} to ${count(last)}`),
          bars(fuel, first, last, turn.tick, "Fuel by turn", to),
          h("br"),
          memory.length === 0
            ? h(
                "p",
                { class: "dim" },
                "Its memory is known at snapshots, and none has it; [snapshots] every = N in the manifest makes one every N ticks.",
              )
            : [
                h("h3", {}, `Memory at ${plural(memory.length, "snapshot")}: ${size(memory.at(-1).value)}`),
                steps(memory, turn.first_tick, end, turn.tick, "Memory, by snapshot", 44),
                h("h3", {}, `Of it written by the agent: ${size(changed.at(-1).value)}`),
                steps(changed, turn.first_tick, end, turn.tick, "Memory changed, by snapshot", 44),
              ],
        );
      })
      .catch((error) => {
        if (!closed) fill(body, failed(error));
      });
    return h("section", { class: "panel" }, h("header", {}, h("h2", {}, "Over time")), body);
  }

  function standings(turn) {
    const limits = Object.entries(turn.limits);
    return h(
      "div",
      { class: "stack" },
      panel(
        "Grants",
        turn.grants.length ? "" : "none",
        turn.grants.length > 0 &&
          h(
            "table",
            {},
            h(
              "thead",
              {},
              h(
                "tr",
                {},
                ["Grant", "Per tick", "Per run", "Used"].map((name) => h("th", { scope: "col" }, name)),
              ),
            ),
            h(
              "tbody",
              {},
              turn.grants.map((grant) =>
                h(
                  "tr",
                  {},
                  h("td", { class: "mono" }, said(grant.grant)),
                  h("td", {}, grant.per_tick ?? "any number"),
                  h("td", {}, grant.per_run ?? "any number"),
                  h("td", {}, grant.spent ?? ""),
                ),
              ),
            ),
          ),
      ),
      panel(
        "Limits",
        "",
        h(
          "div",
          { class: "body" },
          h(
            "dl",
            { class: "facts" },
            limits.map(([name, value]) => [h("dt", { class: "mono" }, name), h("dd", {}, count(value))]),
          ),
        ),
      ),
      panel(
        "Configuration",
        turn.subscribe.length ? ["hears ", said(turn.subscribe.join(", "))] : "",
        h("div", { class: "body" }, bodyOf(turn.config)),
      ),
    );
  }

  const unwatch = watch(() => {
    if (at === null && !closed) show(asked);
  });
  show(asked);
  return {
    node,
    title: "Tick",
    update: show,
    key: (event) => {
      const moves = {
        ArrowLeft: () => to(at - 1),
        ArrowRight: () => to(at + 1),
        "[": () => turnNear(-1),
        "]": () => turnNear(1),
      };
      if (!(event.key in moves) || at === null) return false;
      moves[event.key]();
      return true;
    },
    close: () => {
      closed = true;
      unwatch();
    },
  };
}

function rowsOf(view) {
  if (view.turns) return view.turns.map((turn) => ({ tick: view.tick, ...turn }));
  const place = { tick: view.tick, agent: view.agent };
  return [
    ...view.inbox.map((message) => ({
      ...place,
      part: "inbox",
      place: message.place,
      kind: message.kind,
      peer: message.sender,
      topic: message.topic,
      verdict: "",
      text: message.body.text,
    })),
    ...view.effects.map((effect) => ({
      ...place,
      part: "effect",
      place: effect.place,
      kind: effect.kind,
      peer: effect.target,
      topic: effect.fields.topic ?? "",
      verdict: effect.verdict,
      text: effect.body?.text ?? effect.fields.text ?? "",
    })),
  ];
}
