// What pages are made of: panels, and links to an agent in a tick.

import { h, said } from "/static/dom.js";
import { link } from "/static/route.js";

export const panel = (title, told, ...content) =>
  h(
    "section",
    { class: "panel" },
    h("header", {}, h("h2", {}, title), h("span", { class: "dim grow" }, told)),
    ...content,
  );

export function agentLink(run, tick, agent, text = agent) {
  return h("a", { href: link("tick", { run, tick, agent }) }, said(text));
}
