// Numbers, sizes, bodies and outcomes for people.

import { h, said, visible } from "/static/dom.js";
import { ask } from "/static/api.js";

const whole = new Intl.NumberFormat("en");
export const count = (number) => whole.format(number);

export function size(bytes) {
  const units = ["B", "KiB", "MiB", "GiB"];
  let place = 0;
  while (bytes >= 1024 && place < units.length - 1) {
    bytes /= 1024;
    place += 1;
  }
  return `${place && bytes < 100 ? bytes.toFixed(1) : Math.round(bytes)} ${units[place]}`;
}

export function short(number) {
  if (number < 10_000) return count(number);
  const units = ["", "k", "M", "G", "T"];
  let place = 0;
  while (number >= 1000 && place < units.length - 1) {
    number /= 1000;
    place += 1;
  }
  return `${number < 100 ? number.toFixed(1) : Math.round(number)} ${units[place]}`;
}

export const plural = (number, noun) => `${count(number)} ${noun}${number === 1 ? "" : "s"}`;

export function when(nanoseconds) {
  return new Date(nanoseconds / 1e6).toLocaleString();
}

/** How a run stands, as a chip. */
export function statusChip(status, growing = false) {
  if (growing) return h("span", { class: "chip accent live" }, "live");
  if (status === "running")
    return h(
      "span",
      { class: "chip warn", title: "The file has no end: the run is going on, or was cut off." },
      "open",
    );
  return h("span", { class: "chip ok", title: "How the run ended." }, visible(status));
}

export function outcomeChip(outcome) {
  if (outcome === null) return h("span", { class: "chip" }, "no turn");
  return h("span", { class: `chip ${outcome === "ok" ? "ok" : "fail"}` }, visible(outcome));
}

/** A body: JSON laid out and coloured, text as it is, bytes as base64; the rest of a long one on demand. */
export function bodyOf(body, full = null) {
  if (body.bytes === 0) return h("span", { class: "faint" }, "empty");
  const shown = h("pre", { class: "content", tabindex: 0 }, ...laidOut(body));
  if (!body.clipped) return shown;
  const more =
    full &&
    h(
      "button",
      {
        class: "plain",
        on: {
          click: async () => {
            more.disabled = true;
            try {
              const whole = await ask("body", full);
              holder.replaceChildren(bodyOf(whole));
            } catch (error) {
              more.replaceWith(said(error.message));
            }
          },
        },
      },
      `Show all ${size(body.bytes)}`,
    );
  const holder = h("div", {}, shown, more ?? h("span", { class: "faint" }, `… ${size(body.bytes)} in all`));
  return holder;
}

function laidOut(body) {
  if (body.kind === "base64") return [h("span", { class: "faint" }, "base64 "), body.text];
  if (body.kind !== "json" || body.clipped) return [visible(body.text)];
  return coloured(indented(body.text));
}

/** Lay JSON out by its text alone: a parser would round large numbers and drop what it knows twice. */
function indented(text) {
  let depth = 0;
  let out = "";
  const line = () => `\n${"  ".repeat(Math.min(depth, 40))}`;
  for (const [token] of text.matchAll(/"(?:\\.|[^"\\])*"|[{}[\],:]|[^\s{}[\],:"]+/g)) {
    if (token === "{" || token === "[") {
      depth += 1;
      out += token + line();
    } else if (token === "}" || token === "]") {
      depth -= 1;
      out = /[{[]\s*$/.test(out) ? out.trimEnd() + token : out + line() + token;
    } else if (token === ",") out += token + line();
    else if (token === ":") out += ": ";
    else out += token;
  }
  return out;
}

// Of laid-out JSON: a key, a string, or another value.
const TOKEN = /("(?:\\.|[^"\\])*")(\s*:)?|\b(?:true|false|null)\b|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;

export function coloured(text) {
  const parts = [];
  let at = 0;
  for (const found of text.matchAll(TOKEN)) {
    if (found.index > at) parts.push(visible(text.slice(at, found.index)));
    const kind = found[2] ? "key" : found[1] ? "string" : "value";
    parts.push(h("span", { class: kind }, visible(found[1] ?? found[0])), found[2] ?? "");
    at = found.index + found[0].length;
  }
  parts.push(visible(text.slice(at)));
  return parts;
}

/** A body in one line, for tables. */
export function brief(body, length = 90) {
  const text = body.kind === "base64" ? `base64 ${body.text}` : body.text;
  return said(text.length > length ? `${text.slice(0, length)}…` : text);
}
