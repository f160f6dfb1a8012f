// One request to a model or tool: what was asked, what came back and when, and who shared its batch.

import { h, said, visible } from "/static/dom.js";
import { bodyOf, brief, count, plural } from "/static/format.js";
import { link } from "/static/route.js";

const BRIEF = 90;

const answerOf = (row) => row.completions.findLast((found) => !found.piece);
const shortened = (text) => said(text.length > BRIEF ? `${text.slice(0, BRIEF)}…` : text);

/** What was asked, in one line: the last message of the prompt, or the body. */
export function promptOf(row) {
  return row.prompt.length ? shortened(row.prompt.at(-1)[1]) : brief(row.body);
}

/** What came back, in one line; of a streamed answer that is not complete, what came so far. */
export function outputOf(row) {
  const answer = answerOf(row);
  if (answer)
    return (answer.output ?? answer.failure)
      ? shortened(answer.output ?? answer.failure)
      : brief(answer.body);
  return row.completions.length ? shortened(row.completions.map((piece) => piece.output ?? "").join("")) : "";
}

export function stateOf(row) {
  if (row.verdict !== "performed") return h("span", { class: "chip warn" }, row.verdict);
  const answer = answerOf(row);
  if (!answer) return h("span", { class: "chip request" }, row.completions.length ? "coming" : "waiting");
  return h(
    "span",
    { class: `chip ${answer.failure === null ? "ok" : "fail"}` },
    answer.failure === null ? "answered" : "failed",
  );
}

/** Tokens in and out, as the answer counts them. */
export function tokens(row) {
  const { prompt_tokens: given, completion_tokens: made, total_tokens: all } = answerOf(row)?.usage ?? {};
  if (given !== undefined && made !== undefined) return `${count(given)} → ${count(made)}`;
  return all === undefined ? "" : count(all);
}

/** The request in full; `tickNs` is how long a tick is by the virtual clock. */
export function requestView(row, run, tickNs) {
  const answer = answerOf(row);
  const here = { run, tick: row.tick, agent: row.agent };
  return h(
    "section",
    { class: "panel", "aria-label": "The request in full" },
    h(
      "header",
      {},
      h("h2", {}, said(row.agent), " asks ", said(row.target)),
      stateOf(row),
      h("span", { class: "grow" }),
      h("a", { href: link("tick", { ...here, at: `effect-${row.effect}` }) }, `tick ${count(row.tick)}`),
    ),
    h(
      "div",
      { class: "body" },
      row.reason && h("p", {}, said(row.reason)),
      h("dl", { class: "facts" }, facts(row, answer, run, tickNs)),
      h("h3", {}, "Asked"),
      row.prompt.map(([role, text]) => spoken(role, text)),
      raw(row.body, row.prompt.length > 0, { ...here, part: "effect", place: row.effect }),
      row.completions.length > 0 && h("h3", {}, "Answer"),
      answer
        ? [
            (answer.output ?? answer.failure) !== null &&
              spoken(
                answer.failure === null ? "assistant" : "error",
                answer.output ?? answer.failure,
                answer.failure === null ? "answer" : "failed",
              ),
            raw(answer.body, answer.output !== null || answer.failure !== null),
          ]
        : row.completions.map((piece) =>
            spoken(`piece in tick ${count(piece.tick)}`, piece.output ?? piece.body.text, "answer"),
          ),
    ),
  );
}

function facts(row, answer, run, tickNs) {
  const fact = (name, ...told) => [h("dt", {}, name), h("dd", {}, ...told)];
  const last = answer ?? row.completions.at(-1);
  return [
    row.model !== null &&
      fact(
        "Model",
        said(row.target),
        " ",
        h("span", { class: "mono faint", title: row.model }, row.model.slice(0, 16)),
      ),
    row.due !== null &&
      fact("Due", `in tick ${count(row.due)}, ${timing(row.due - row.tick, tickNs)} after it was asked`),
    answer &&
      fact(
        "Answered",
        h(
          "a",
          { href: link("tick", { run, tick: answer.tick, agent: row.agent }) },
          `in tick ${count(answer.tick)}`,
        ),
        `, ${timing(answer.tick - row.tick, tickNs)} later`,
      ),
    answer?.finish && fact("Ended by", said(answer.finish)),
    tokens(row) &&
      fact(
        "Tokens",
        Object.entries(answer.usage).map(([name, value], place) => [
          place > 0 && ", ",
          said(name.replaceAll("_", " ")),
          ` ${count(value)}`,
        ]),
      ),
    row.pieces > 0 && fact("Streamed", plural(row.pieces, "piece"), " before the end"),
    last &&
      fact(
        "Computed by",
        said(last.provider),
        last.recomputable ? ", and a replay can compute it again" : ", known from its record alone",
      ),
    fact(
      "Batch",
      row.batch === 1
        ? "alone"
        : [
            "with ",
            row.mates.map((mate, place) => [place > 0 && ", ", said(mate)]),
            row.batch - 1 > row.mates.length && ` and ${count(row.batch - 1 - row.mates.length)} more`,
          ],
    ),
  ];
}

function timing(ticks, tickNs) {
  const ms = (ticks * tickNs) / 1e6;
  return `${plural(ticks, "tick")} (${ms < 1000 ? `${Number(ms.toPrecision(3))} ms` : `${(ms / 1000).toFixed(2)} s`})`;
}

function spoken(who, text, kind = "") {
  return h("div", { class: `said ${kind}` }, h("small", {}, said(who)), h("bdi", {}, visible(text)));
}

/** A body as it is: folded away if what it says is shown already. */
function raw(body, folded, full = null) {
  return folded
    ? h("details", {}, h("summary", { class: "dim" }, "as it was sent"), bodyOf(body, full))
    : bodyOf(body, full);
}

/** A request as a row of a file. */
export function flat(row) {
  const answer = answerOf(row);
  return {
    tick: row.tick,
    agent: row.agent,
    kind: row.kind,
    target: row.target,
    request: row.request,
    verdict: row.verdict,
    batch: row.batch,
    asked: row.prompt.at(-1)?.[1] ?? row.body.text,
    due: row.due,
    answered_tick: answer?.tick,
    answer: answer && (answer.output ?? answer.failure ?? answer.body.text),
    provider: answer?.provider,
    ...answer?.usage,
  };
}
