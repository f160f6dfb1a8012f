// Requests to models and tools: what was asked, what came back, when, and who shared the batch.

import { Latest } from "/static/api.js";
import { empty, failed, fill, h, loading, said } from "/static/dom.js";
import { count, plural } from "/static/format.js";
import { flat, outputOf, promptOf, requestView, stateOf, tokens } from "/static/request.js";
import { link, note } from "/static/route.js";
import { saving } from "/static/save.js";

const ENOUGH = 100;

export function inference(asked, { run }) {
  const latest = new Latest();
  const target = h(
    "select",
    { "aria-label": "Model or tool", on: { change: begin } },
    h("option", { value: "" }, "All models and tools"),
    asked.get("model") &&
      h("option", { value: asked.get("model"), selected: true }, said(asked.get("model"))),
  );
  const agent = h("input", {
    placeholder: "Any agent",
    "aria-label": "Only of this agent",
    value: asked.get("of") ?? "",
    on: { change: begin },
  });
  const told = h("span", { class: "dim", role: "status" });
  const list = h("div", { class: "panel requests" }, loading());
  const shown = h("div", { class: "below" });
  const node = h(
    "div",
    { class: "page" },
    h(
      "header",
      {},
      h("h1", {}, "Inference"),
      told,
      h("span", { class: "grow" }),
      target,
      agent,
      saving(() => rows.length > 0 && { name: `${run}-inference`, content: rows, rows: rows.map(flat) }),
    ),
    list,
    shown,
  );
  const known = new Set([asked.get("model")]);
  let rows = [];
  let tickNs = 0;
  let turn = 0;

  function begin() {
    rows = [];
    turn += 1;
    fill(shown);
    list.classList.remove("short");
    fill(list, loading("Looking for requests"));
    note("inference", {
      run,
      model: target.value,
      of: agent.value,
      tick: asked.get("tick"),
      agent: asked.get("agent"),
    });
    go(0, turn, ENOUGH);
  }

  async function go(first, mine, enough) {
    let next = first;
    try {
      while (next !== null && rows.length < enough) {
        const found = await latest.ask("inference", {
          run,
          target: target.value,
          agent: agent.value,
          first: next,
          limit: enough,
        });
        if (found === null || mine !== turn) return;
        rows.push(...found.requests);
        tickNs = found.tick_ns;
        for (const name of Object.keys(found.targets))
          if (!known.has(name)) {
            known.add(name);
            target.append(h("option", { value: name }, said(name)));
          }
        next = found.next;
        fill(
          told,
          next === null
            ? plural(rows.length, "request")
            : `${plural(rows.length, "request")} up to tick ${count(next)} of ${count(found.end_tick)}`,
        );
        if (rows.length > 0 || next === null) show(next, mine);
      }
    } catch (error) {
      if (mine === turn) fill(list, failed(error, begin));
    }
  }

  function show(next, mine) {
    if (rows.length === 0) {
      fill(
        list,
        empty(
          "No requests",
          target.value || agent.value
            ? "None is of this model and agent."
            : "No agent of this run has asked a model or called a tool.",
        ),
      );
      return;
    }
    const columns = [
      "Tick",
      "Agent",
      "Model or tool",
      "Asked",
      "Answer",
      "State",
      "Answered",
      "Tokens",
      "Batch",
    ];
    const numbers = new Set(["Tick", "Answered", "Tokens", "Batch"]);
    fill(
      list,
      h(
        "table",
        {},
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            columns.map((name) => h("th", { scope: "col", class: numbers.has(name) && "number" }, name)),
          ),
        ),
        h("tbody", {}, rows.map(rowOf)),
      ),
      next !== null &&
        h(
          "p",
          { class: "state small" },
          h("button", { on: { click: () => go(next, mine, rows.length + ENOUGH) } }, "Find more"),
        ),
    );
  }

  function rowOf(row) {
    const done = row.completions.at(-1);
    const answered = done !== undefined && !done.piece;
    const open = () => {
      fill(shown, requestView(row, run, tickNs));
      // The list keeps its place above the request, and gives it room.
      list.classList.add("short");
      for (const other of list.querySelectorAll("tr[aria-selected]")) other.removeAttribute("aria-selected");
      line.setAttribute("aria-selected", "true");
      line.scrollIntoView({ block: "nearest" });
    };
    const line = h(
      "tr",
      {
        class: "link",
        tabindex: 0,
        on: {
          click: (event) => {
            if (!event.target.closest("a")) open();
          },
          keydown: (event) => {
            if (event.key === "Enter") open();
          },
        },
      },
      h(
        "td",
        { class: "number" },
        h("a", { href: link("tick", { run, tick: row.tick, agent: row.agent }) }, count(row.tick)),
      ),
      h("td", { class: "clip" }, said(row.agent)),
      h("td", { class: "clip" }, said(row.target)),
      h("td", { class: "clip" }, promptOf(row)),
      h("td", { class: "clip" }, outputOf(row)),
      h("td", {}, stateOf(row)),
      h(
        "td",
        { class: "number", title: "Ticks from the request to its answer" },
        answered ? `+${count(done.tick - row.tick)}` : "",
      ),
      h("td", { class: "number" }, tokens(row)),
      h("td", { class: "number" }, count(row.batch)),
    );
    return line;
  }

  begin();
  return {
    node,
    title: "Inference",
    update: () => {},
    close: () => {
      turn += 1;
      latest.cancel();
    },
  };
}
