// A turn and a tick as they are shown: beside the timeline in short, on their own page in full.

import { h, said, visible } from "/static/dom.js";
import { bodyOf, count, outcomeChip, plural, short } from "/static/format.js";
import { faultsOf, supervised, undelivered } from "/static/mishaps.js";
import { agentLink, panel } from "/static/panel.js";
import { go, link } from "/static/route.js";

/** One tick: its turns as a list. */
export function tickView(tick, run, selected = null) {
  const head = h(
    "tr",
    {},
    ["Agent", "Outcome", "In", "Out", "Fuel"].map((name, place) =>
      h("th", { scope: "col", class: place > 1 && "number" }, name),
    ),
  );
  const rows = tick.turns.map((turn) =>
    h(
      "tr",
      {
        class: "link",
        "aria-selected": String(turn.agent === selected),
        on: {
          click: (event) => {
            if (!event.target.closest("a")) go("tick", { run, tick: tick.tick, agent: turn.agent });
          },
        },
      },
      h(
        "td",
        { class: "clip" },
        agentLink(run, tick.tick, turn.agent),
        turn.setup && h("span", { class: "faint" }, " set-up"),
      ),
      h(
        "td",
        {},
        turn.outcome === "ok" && turn.refused
          ? h("span", { class: "chip warn" }, `${turn.refused} refused`)
          : outcomeChip(turn.outcome),
        turn.recovery && h("span", { class: "chip ok" }, turn.recovery),
      ),
      h("td", { class: "number" }, count(turn.inbox)),
      h("td", { class: "number" }, count(turn.effects)),
      h("td", { class: "number", title: count(turn.fuel) }, short(turn.fuel)),
    ),
  );
  const more = tick.total - tick.offset - tick.turns.length;
  return h(
    "div",
    { class: "turn" },
    panel(
      `Tick ${count(tick.tick)}`,
      plural(tick.total, "turn"),
      tick.total
        ? h("table", {}, h("thead", {}, head), h("tbody", {}, rows))
        : h("p", { class: "state small" }, "Nobody had a turn in this tick."),
      more > 0 &&
        h(
          "p",
          { class: "state small" },
          `${plural(more, "more turn")}; choose an agent on the timeline, or search.`,
        ),
    ),
    faultsOf(tick.faults, run, tick.tick),
    tick.inputs.length > 0 &&
      panel(
        "Inputs",
        plural(tick.inputs.length, "line"),
        tick.inputs.map(([name, body]) =>
          h(
            "div",
            { class: "item" },
            h("div", { class: "head" }, h("span", { class: "verb" }, said(name))),
            bodyOf(body),
          ),
        ),
      ),
    undelivered(tick.undelivered, run),
    h("p", { class: "mono faint", title: `exact ${tick.exact}` }, `digest ${tick.digest.slice(0, 32)}…`),
  );
}

/** One agent's turn. In short, what can be looked up on its page is left out. */
export function turnView(turn, { run, compact = false }) {
  return h(
    "div",
    { class: "turn" },
    headOf(turn, run, compact),
    faultsOf(turn.faults, run, turn.tick),
    turn.outcome === null && h("p", { class: "dim" }, "It had no turn in this tick."),
    turn.outcome !== null &&
      panel("Inbox", plural(turn.inbox.length, "message"), messages(turn.inbox, turn, run, "inbox")),
    turn.outcome !== null &&
      panel(
        "Effects",
        plural(turn.effects.length, "effect"),
        turn.effects.length
          ? turn.effects.map((effect) => effectOf(effect, turn, run))
          : h("p", { class: "state small" }, "It asked for nothing."),
      ),
    undelivered(turn.undelivered, run),
    !compact &&
      turn.mailbox.length > 0 &&
      panel(
        "Waiting after the tick",
        plural(turn.mailbox.length, "message"),
        messages(turn.mailbox, turn, run, null),
      ),
    !compact &&
      turn.timers.length > 0 &&
      panel(
        "Timers before the tick",
        plural(turn.timers.length, "timer"),
        turn.timers.map((timer) =>
          h(
            "div",
            { class: "item" },
            h(
              "div",
              { class: "head" },
              h("span", { class: "verb" }, said(timer.topic)),
              h(
                "span",
                { class: "where" },
                `due in tick ${count(timer.due)}, set in ${count(timer.set)}, request ${timer.request}`,
              ),
            ),
            timer.body.bytes > 0 && bodyOf(timer.body),
          ),
        ),
      ),
  );
}

/** A link to one message or effect. */
function here(run, turn, at) {
  return h(
    "a",
    {
      class: "here",
      href: link("tick", { run, tick: turn.tick, agent: turn.agent, at }),
      title: "Link to this",
      "aria-label": `Link to ${at.replace("-", " ")}`,
    },
    "#",
  );
}

/** Bring the message or effect that an address names into sight. */
export function point(node, at) {
  for (const item of node.querySelectorAll(".item.pointed")) item.classList.remove("pointed");
  const found =
    at === null ? null : [...node.querySelectorAll(".item[data-at]")].find((item) => item.dataset.at === at);
  found?.classList.add("pointed");
  found?.scrollIntoView({ block: "center" });
}

function headOf(turn, run, compact) {
  const share = turn.fuel_limit ? Math.min(1, turn.fuel / turn.fuel_limit) : 0;
  const meter = h("i");
  const ran = turn.outcome !== null;
  meter.style.width = `${share * 100}%`;
  return h(
    "section",
    { class: "panel" },
    h(
      "header",
      {},
      h("h2", {}, said(turn.agent)),
      outcomeChip(turn.outcome),
      turn.recovery && h("span", { class: "chip ok" }, turn.recovery),
      turn.setup && h("span", { class: "chip" }, "set-up"),
      h("span", { class: "grow" }),
      compact && h("a", { href: link("tick", { run, tick: turn.tick, agent: turn.agent }) }, "open"),
      !compact &&
        h("a", { href: link("timeline", { run, tick: turn.tick, agent: turn.agent }) }, "on the timeline"),
      h("a", { href: link("fork", { run, tick: turn.tick, agent: turn.agent }) }, "fork here"),
    ),
    h(
      "div",
      { class: "body" },
      h(
        "dl",
        { class: "facts" },
        h("dt", {}, "Tick"),
        h("dd", {}, count(turn.tick)),
        h("dt", {}, "Status"),
        h(
          "dd",
          {},
          turn.status === turn.status_after ? turn.status : `${turn.status} → ${turn.status_after}`,
          turn.reason && [": ", said(turn.reason)],
        ),
        turn.detail && [
          h("dt", {}, "Detail"),
          h("dd", {}, h("pre", { class: "content" }, visible(turn.detail))),
        ],
        turn.supervision.on_failure !== "stop" && [h("dt", {}, "If it fails"), h("dd", {}, supervised(turn.supervision))],
        ran && h("dt", {}, "Fuel"),
        ran &&
          h(
            "dd",
            {},
            `${count(turn.fuel)} of ${count(turn.fuel_limit)}`,
            h(
              "div",
              { class: "meter", role: "img", "aria-label": `${Math.round(share * 100)} percent of the fuel` },
              meter,
            ),
          ),
      ),
    ),
  );
}

function messages(list, turn, run, part) {
  if (list.length === 0) return h("p", { class: "state small" }, "Nothing.");
  return list.map((message) =>
    h(
      "div",
      { class: "item", "data-at": part && `${part}-${message.place}` },
      h(
        "div",
        { class: "head" },
        h("span", { class: "verb" }, said(message.topic)),
        part && here(run, turn, `${part}-${message.place}`),
        h(
          "span",
          { class: "where" },
          "from ",
          message.origin && message.sender !== "tickwork"
            ? agentLink(run, message.origin.tick, message.origin.agent, message.sender)
            : said(message.sender),
          message.kind === "input"
            ? ""
            : [
                ", ",
                message.origin
                  ? h(
                      "a",
                      { href: link("tick", { run, tick: message.origin.tick, agent: message.origin.agent }) },
                      `tick ${count(message.sent)}`,
                    )
                  : `tick ${count(message.sent)}`,
              ],
        ),
        message.kind !== "message" &&
          h(
            "span",
            {
              class: `chip ${message.kind === "completion" ? "request" : message.sender === "tickwork" ? "warn" : ""}`,
            },
            message.kind,
          ),
        message.reply_to !== null &&
          h(
            "span",
            { class: "chip", title: "The number of the request that it answers" },
            `re ${message.reply_to}`,
          ),
      ),
      bodyOf(message.body, part && { run, tick: turn.tick, agent: turn.agent, part, place: message.place }),
    ),
  );
}

const VERBS = {
  send: "send",
  publish: "publish",
  infer: "ask model",
  call: "call tool",
  output: "output",
  timer: "set timer",
  log: "log",
  metric: "metric",
  spawn: "spawn",
  stop: "stop",
};

function effectOf(effect, turn, run) {
  const refused = effect.verdict !== "performed";
  const { fields } = effect;
  return h(
    "div",
    { class: `item ${refused ? "refused" : ""}`, "data-at": `effect-${effect.place}` },
    h(
      "div",
      { class: "head" },
      h("span", { class: "verb" }, VERBS[effect.kind] ?? effect.kind),
      here(run, turn, `effect-${effect.place}`),
      effect.kind === "log"
        ? h(
            "span",
            { class: `chip ${{ warn: "warn", error: "fail" }[fields.level] ?? ""}` },
            String(fields.level),
          )
        : effect.target && h("strong", {}, said(effect.target)),
      fields.topic !== undefined &&
        fields.topic !== effect.target &&
        h("span", { class: "chip" }, said(fields.topic)),
      refused && h("span", { class: "chip warn" }, effect.verdict),
      h(
        "span",
        { class: "where" },
        details(effect),
        effect.deliveries.length > 0 && [" found by ", deliveries(effect, run)],
      ),
    ),
    refused && h("div", {}, said(effect.reason)),
    effect.kind === "log" && h("pre", { class: "content" }, visible(fields.text)),
    effect.kind === "metric" && h("code", {}, String(fields.value)),
    effect.body &&
      effect.body.bytes > 0 &&
      bodyOf(effect.body, { run, tick: turn.tick, agent: turn.agent, part: "effect", place: effect.place }),
  );
}

function details({ kind, fields }) {
  if (kind === "timer")
    return fields.after_ticks
      ? `in ${plural(fields.after_ticks, "tick")}, request ${fields.request}`
      : `cancelled, request ${fields.request}`;
  if (kind === "spawn") return ["of kind ", said(fields.kind)];
  if (kind === "stop") return said(fields.reason);
  if (fields.request !== undefined) return `request ${fields.request}`;
  if (fields.reply_to !== undefined && fields.reply_to !== null) return `re ${fields.reply_to}`;
  return "";
}

function deliveries(effect, run) {
  const shown = effect.deliveries
    .slice(0, 8)
    .map((found, place) => [
      place > 0 && ", ",
      agentLink(run, found.tick, found.agent),
      ` in ${count(found.tick)}`,
    ]);
  const more = effect.deliveries.length - shown.length;
  return [shown, more > 0 && ` and ${count(more)} more`];
}
