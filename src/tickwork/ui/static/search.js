// Text in messages, logs, outputs, inputs and failures. Goes on until there is enough to read, or the end.

import { Latest } from "/static/api.js";
import { empty, failed, fill, h, loading, said, visible } from "/static/dom.js";
import { count, plural } from "/static/format.js";
import { link, note } from "/static/route.js";
import { saving } from "/static/save.js";

const ENOUGH = 200;
const KINDS = {
  message: "Messages",
  log: "Logs",
  output: "Outputs",
  input: "Inputs",
  failure: "Failures",
  request: "Requests",
};

export function search(asked, { run }) {
  const latest = new Latest();
  const text = h("input", {
    type: "search",
    value: asked.get("text") ?? "",
    placeholder: "Find in messages and logs",
    "aria-label": "Text to find",
    on: { input: () => soon() },
  });
  const agent = h("input", {
    value: asked.get("of") ?? "",
    placeholder: "Any agent",
    "aria-label": "Only of this agent",
    on: { input: () => soon() },
  });
  const chosen = new Set((asked.get("kinds") || Object.keys(KINDS).join(",")).split(","));
  const boxes = Object.entries(KINDS).map(([kind, name]) =>
    h(
      "label",
      {},
      h("input", {
        type: "checkbox",
        checked: chosen.has(kind),
        on: {
          change: (event) => {
            if (event.target.checked) chosen.add(kind);
            else chosen.delete(kind);
            soon();
          },
        },
      }),
      name,
    ),
  );
  const told = h("span", { class: "dim", role: "status" });
  const list = h("div", { class: "panel" });
  const node = h(
    "div",
    { class: "page" },
    h(
      "header",
      {},
      h("h1", {}, "Search"),
      told,
      h("span", { class: "grow" }),
      saving(() => hits.length > 0 && { name: `${run}-search`, content: hits, rows: hits }),
    ),
    h("div", { class: "filters" }, text, agent, boxes),
    list,
  );
  let hits = [];
  let timer = 0;
  let turn = 0;

  function soon() {
    clearTimeout(timer);
    timer = setTimeout(begin, 200);
  }

  function begin() {
    hits = [];
    turn += 1;
    const wanted = {
      text: text.value,
      of: agent.value,
      kinds: chosen.size === Object.keys(KINDS).length ? "" : [...chosen].join(","),
    };
    note("search", { run, ...wanted, tick: asked.get("tick"), agent: asked.get("agent") });
    if (text.value === "" || chosen.size === 0) {
      latest.cancel();
      fill(told);
      fill(
        list,
        empty(
          "Find anything that was said",
          "Messages, log lines, outputs, inputs and failures, letters in either case.",
        ),
      );
      return;
    }
    fill(list, loading("Searching"));
    go(0, wanted, turn, ENOUGH);
  }

  async function go(first, wanted, mine, enough) {
    let next = first;
    try {
      while (next !== null && hits.length < enough) {
        const found = await latest.ask("search", {
          run,
          text: wanted.text,
          agent: wanted.of,
          kinds: wanted.kinds,
          first: next,
          limit: enough,
        });
        if (found === null || mine !== turn) return;
        hits.push(...found.hits);
        next = found.next;
        fill(
          told,
          next === null
            ? `${plural(hits.length, "place")} in the whole run`
            : `${plural(hits.length, "place")} up to tick ${count(next)} of ${count(found.end_tick)}`,
        );
        if (hits.length > 0 || next === null) show(next, wanted, mine);
      }
    } catch (error) {
      if (mine === turn) fill(list, failed(error, begin));
    }
  }

  function show(next, wanted, mine) {
    if (hits.length === 0) {
      fill(list, empty("Nothing found", `Nobody said "${visible(wanted.text)}".`));
      return;
    }
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
            ["Tick", "Agent", "Kind", "To or topic", "Text"].map((name) =>
              h("th", { scope: "col", class: name === "Tick" && "number" }, name),
            ),
          ),
        ),
        h("tbody", {}, hits.map(rowOf)),
      ),
      next !== null &&
        h(
          "p",
          { class: "state small" },
          hits.length >= ENOUGH
            ? h("button", { on: { click: () => go(next, wanted, mine, hits.length + ENOUGH) } }, "Find more")
            : loading("Searching on"),
        ),
    );
  }

  function rowOf(hit) {
    const outside = hit.agent.startsWith("input:");
    const place = {
      run,
      tick: hit.tick,
      agent: outside ? null : hit.agent,
      at: hit.effect === null ? null : `effect-${hit.effect}`,
    };
    return h(
      "tr",
      {},
      h("td", { class: "number" }, h("a", { href: link("tick", place) }, count(hit.tick))),
      h("td", {}, said(hit.agent)),
      h("td", {}, h("span", { class: `chip ${hit.kind === "failure" ? "fail" : ""}` }, hit.kind)),
      h(
        "td",
        {},
        said(hit.target),
        hit.topic && hit.topic !== hit.target && [" ", h("span", { class: "chip" }, said(hit.topic))],
      ),
      h(
        "td",
        { class: "mono" },
        visible(hit.snippet.slice(0, hit.at)),
        hit.length > 0 && h("mark", {}, visible(hit.snippet.slice(hit.at, hit.at + hit.length))),
        visible(hit.snippet.slice(hit.at + hit.length)),
      ),
    );
  }

  begin();
  requestAnimationFrame(() => text.focus());
  return {
    node,
    title: "Search",
    update: () => {},
    close: () => {
      turn += 1;
      latest.cancel();
      clearTimeout(timer);
    },
  };
}
