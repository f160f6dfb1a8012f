// What went wrong in a tick: faults, messages that reached nobody, and what supervision does about failures.

import { h, said } from "/static/dom.js";
import { count, plural } from "/static/format.js";
import { agentLink, panel } from "/static/panel.js";
import { link } from "/static/route.js";

/** The faults that hit somebody, or nothing. */
export function faultsOf(faults, run, tick) {
  if (faults.length === 0) return null;
  const one = (fault) => {
    const { tick: _, agent: __, sender: ___, ...rest } = fault.fields;
    const told = Object.entries(rest).filter(([, value]) => value !== null);
    return h(
      "div",
      { class: "item" },
      h(
        "div",
        { class: "head" },
        h("span", { class: "chip fault" }, fault.kind),
        agentLink(run, tick, fault.agent),
        fault.to !== null && h("span", { class: "where" }, "to ", agentLink(run, tick, fault.to)),
        fault.effect !== null &&
          h(
            "a",
            {
              class: "where",
              href: link("tick", { run, tick, agent: fault.agent, at: `effect-${fault.effect}` }),
            },
            `effect ${fault.effect}`,
          ),
        h("span", { class: "where" }, said(told.map(([name, value]) => `${name} ${value}`).join(", "))),
      ),
    );
  };
  return panel("Faults", "broken on purpose", faults.map(one));
}

/** The messages that reached nobody, or nothing. */
export function undelivered(list, run) {
  if (list.length === 0) return null;
  const one = ({ kind, sent, to, reason, origin }) => {
    const told = `${kind} of tick ${count(sent)}`;
    const sender =
      origin &&
      h(
        "a",
        { href: link("tick", { run, tick: origin.tick, agent: origin.agent, at: `effect-${origin.effect}` }) },
        said(origin.agent),
        ", ",
        told,
      );
    return h(
      "div",
      { class: "item refused" },
      h("div", { class: "head" }, h("span", { class: "verb" }, said(to)), h("span", { class: "where" }, sender ? ["from ", sender] : told)),
      said(reason),
    );
  };
  return panel("Undelivered", plural(list.length, "message"), list.map(one));
}

/** How an agent is supervised, in words. */
export function supervised({ on_failure, max_restarts, restart_window_ticks, on_exhausted, past }) {
  const recent = past.length === 0 ? "not lately" : `last in ${past.map(count).join(", ")}`;
  const then = on_exhausted === "fail" ? "it ends" : "the run ends";
  return `${on_failure}, at most ${max_restarts} times in ${plural(restart_window_ticks, "tick")}, then ${then}; ${recent}`;
}
