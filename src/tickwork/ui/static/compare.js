// Two runs: where they part, side by side.

import { ask, listen } from "/static/api.js";
import { empty, failed, fill, h, loading, said, visible } from "/static/dom.js";
import { coloured, count, plural, statusChip } from "/static/format.js";
import { go, link } from "/static/route.js";
import { saving } from "/static/save.js";

const WORDS = {
  identical: ["ok", "Identical", "Every tick is the same, to the fuel."],
  "a-prefix-of-b": ["ok", "B goes on", "A is the beginning of B."],
  "b-prefix-of-a": ["ok", "A goes on", "B is the beginning of A."],
  "fuel-differs": [
    "warn",
    "Only fuel differs",
    "Effects, outcomes and arrivals are the same in every common tick.",
  ],
  "origin-differs": ["warn", "Another origin", "The common ticks are the same, what they began from is not."],
  damaged: ["fail", "Damaged", "Nothing differs in what can be read."],
  different: ["accent", "Different", ""],
  unrelated: ["warn", "Unrelated", "These are runs of different projects."],
};

export function compare(asked) {
  const [a, b] = ["A", "B"].map((name) =>
    h("select", { "aria-label": `Run ${name}`, on: { change: choose } }),
  );
  const result = h("div", {});
  const node = h(
    "div",
    { class: "page" },
    h(
      "header",
      {},
      h("h1", {}, "Compare"),
      h("label", {}, "A", a),
      h(
        "button",
        {
          class: "plain",
          title: "Exchange the two",
          "aria-label": "Exchange the two",
          on: { click: () => go("compare", { a: b.value, b: a.value }) },
        },
        "⇄",
      ),
      h("label", {}, "B", b),
      h("span", { class: "grow" }),
      saving(() => found && { name: "comparison", content: found, rows: rowsOf(found) }),
    ),
    result,
  );
  let stop = null;
  let found = null;
  let chosen = {};

  function choose() {
    go("compare", { a: a.value, b: b.value });
  }

  async function show(next) {
    stop?.();
    found = null;
    chosen = { a: next.get("a"), b: next.get("b") };
    try {
      const { runs } = await ask("runs");
      for (const [select, name] of [
        [a, chosen.a],
        [b, chosen.b],
      ])
        fill(
          select,
          h("option", { value: "" }, "choose a run"),
          runs
            .filter((row) => row.error === null)
            .map((row) => h("option", { value: row.file, selected: row.file === name }, visible(row.file))),
        );
    } catch (error) {
      fill(
        result,
        failed(error, () => show(next)),
      );
      return;
    }
    if (!chosen.a || !chosen.b) {
      fill(
        result,
        empty(
          "Choose two runs",
          "The page shows the first tick in which they differ, and who acts differently from there on.",
        ),
      );
      return;
    }
    fill(result, loading("Comparing"));
    stop = listen(
      "compare",
      chosen,
      {
        progress: ({ tick }) => fill(result, loading(`Comparing tick ${count(tick)}`)),
        failure: (failure) => {
          stop();
          fill(result, failed(failure));
        },
        result: (content) => {
          stop();
          found = content;
          fill(result, told(content, chosen));
        },
      },
      (closed) => {
        if (closed && !found) {
          stop();
          fill(
            result,
            failed(new Error("the comparison was cut off"), () => show(next)),
          );
        }
      },
    );
  }

  show(asked);
  return { node, title: "Compare", update: show, close: () => stop?.() };
}

function told(found, { a, b }) {
  const [kind, word, what] = WORDS[found.verdict] ?? ["", found.verdict, ""];
  const first = found.first;
  return h(
    "div",
    {},
    h(
      "div",
      { class: "panel" },
      h(
        "header",
        {},
        h("span", { class: `chip ${kind}`, "data-verdict": found.verdict }, word),
        h(
          "span",
          { class: "grow" },
          first
            ? [
                "They part in ",
                h("strong", {}, `tick ${count(first.tick)}`),
                `; ${plural(found.differing_ticks, "tick")} of ${count(found.common_ticks)} differ.`,
              ]
            : what,
        ),
        first && [
          h("a", { href: link("timeline", { run: a, tick: first.tick, agent: first.agents[0] }) }, "A there"),
          h("a", { href: link("timeline", { run: b, tick: first.tick, agent: first.agents[0] }) }, "B there"),
        ],
      ),
      found.damage.length > 0 &&
        h(
          "div",
          { class: "body" },
          found.damage.map((damage) =>
            h("div", {}, `${damage.file}, tick ${count(damage.tick)}: `, said(damage.reason)),
          ),
        ),
    ),
    h("br"),
    h("div", { class: "sides" }, sideOf("A", found.a), sideOf("B", found.b)),
    found.spec.length > 0 &&
      listOf(
        "What they were made of differs",
        found.spec.map((change) => [
          [change.noun, change.names.join(", "), change.part].filter(Boolean).join(" "),
          change.a,
          change.b,
        ]),
      ),
    found.recorded_by.length > 0 &&
      listOf(
        "They were recorded differently",
        found.recorded_by.map((change) => [change.part, change.a, change.b]),
      ),
    first && firstOf(first, a, b),
    found.agents.length > 0 && agentsOf(found, a),
  );
}

function sideOf(name, side) {
  return h(
    "section",
    { class: "panel" },
    h(
      "header",
      {},
      h("h2", {}, `${name}: `, said(side.file)),
      statusChip(side.status),
      h("span", { class: "grow" }),
      h("a", { href: link("timeline", { run: side.file }) }, "timeline"),
    ),
    h(
      "div",
      { class: "body" },
      h(
        "dl",
        { class: "facts" },
        h("dt", {}, "Ticks"),
        h("dd", {}, side.ticks ? `${count(side.first_tick)} to ${count(side.last_tick)}` : "none"),
        h("dt", {}, "Digest"),
        h("dd", { class: "mono" }, side.digest.slice(0, 32)),
        side.parent && [
          h("dt", {}, "Fork"),
          h(
            "dd",
            {},
            `before tick ${count(side.parent.tick)}`,
            side.parent.edits.map((edit) => h("div", { class: "dim" }, said(edit))),
          ),
        ],
      ),
    ),
  );
}

function listOf(title, rows) {
  return h(
    "section",
    { class: "panel" },
    h("header", {}, h("h2", {}, title)),
    h(
      "table",
      {},
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          ["", "A", "B"].map((name) => h("th", { scope: "col" }, name)),
        ),
      ),
      h(
        "tbody",
        {},
        rows.map((cells) =>
          h(
            "tr",
            {},
            cells.map((cell) =>
              h(
                "td",
                {},
                cell === null || cell === undefined ? h("span", { class: "faint" }, "none") : said(cell),
              ),
            ),
          ),
        ),
      ),
    ),
  );
}

function firstOf(tick, a, b) {
  return h(
    "div",
    {},
    tick.turns.slice(0, 30).map((turn) =>
      h(
        "section",
        { class: "panel" },
        h(
          "header",
          {},
          h("h2", {}, said(turn.agent)),
          h("span", { class: "dim grow" }, `tick ${count(tick.tick)}`),
          h("a", { href: link("tick", { run: a, tick: tick.tick, agent: turn.agent }) }, "in A"),
          h("a", { href: link("tick", { run: b, tick: tick.tick, agent: turn.agent }) }, "in B"),
        ),
        h(
          "div",
          { class: "pairs" },
          [turn.a, turn.b].map((side) =>
            h(
              "div",
              { class: side ? "title" : "absent" },
              side ? `${side.kind}, ${count(side.fuel)} fuel ` : "no turn",
              side?.detail && said(side.detail),
            ),
          ),
          turn.effects.flatMap(pairOf),
        ),
      ),
    ),
    tick.arrivals.length > 0 &&
      h(
        "section",
        { class: "panel" },
        h("header", {}, h("h2", {}, "Inputs")),
        h("div", { class: "pairs" }, tick.arrivals.flatMap(pairOf)),
      ),
    tick.turns.length > 30 &&
      h("p", { class: "state small" }, `${tick.turns.length - 30} more agents differ in this tick.`),
  );
}

function pairOf(pair) {
  return ["a", "b"].map((name) => {
    const item = pair[name];
    const kind =
      item === null
        ? "absent"
        : pair.change === "changed"
          ? "changed"
          : pair.change === "equal"
            ? ""
            : "only";
    return h(
      "div",
      { class: kind },
      item &&
        (item.kind
          ? effectOf(item)
          : [h("strong", {}, said(item.input ?? "")), h("pre", { class: "content" }, ...textOf(item.body))]),
    );
  });
}

function effectOf(effect) {
  const { body, config, ...fields } = effect.fields;
  const rest = Object.entries(fields).filter(([, value]) => value !== null && value !== "");
  return [
    h("span", { class: "verb" }, effect.kind),
    " ",
    rest.map(([name, value]) => [h("span", { class: "faint" }, `${name} `), said(value), " "]),
    effect.verdict !== "performed" &&
      h("span", { class: "chip warn", title: visible(effect.reason) }, effect.verdict),
    [body, config]
      .filter((value) => value !== undefined && value !== "")
      .map((value) => h("pre", { class: "content" }, ...textOf(value))),
  ];
}

function textOf(value) {
  return typeof value === "string" ? [visible(value)] : coloured(JSON.stringify(value, null, 2));
}

function agentsOf(found, run) {
  return h(
    "section",
    { class: "panel" },
    h(
      "header",
      {},
      h("h2", {}, "Who differs"),
      h("span", { class: "dim" }, plural(found.agents.length, "agent")),
    ),
    h(
      "table",
      {},
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          ["Agent", "First", "Turns", "Only fuel"].map((name, place) =>
            h("th", { scope: "col", class: place > 0 && "number" }, name),
          ),
        ),
      ),
      h(
        "tbody",
        {},
        found.agents.map((agent) =>
          h(
            "tr",
            {},
            h("td", {}, said(agent.agent)),
            h(
              "td",
              { class: "number" },
              agent.first === null
                ? ""
                : h(
                    "a",
                    { href: link("tick", { run, tick: agent.first, agent: agent.agent }) },
                    count(agent.first),
                  ),
            ),
            h("td", { class: "number" }, count(agent.turns)),
            h("td", { class: "number" }, agent.fuel_turns ? count(agent.fuel_turns) : ""),
          ),
        ),
      ),
    ),
  );
}

function rowsOf(found) {
  return found.agents.map((agent) => ({ verdict: found.verdict, first_tick: found.first?.tick, ...agent }));
}
