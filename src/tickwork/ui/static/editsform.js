// The form for what is to be different in a fork: each edit as a group of fields.

import { h, said } from "/static/dom.js";

/** Fields for `edits`. `redraw` is called when one is taken out, `changed` when something is typed. */
export function editsForm(edits, redraw, changed) {
  const field = (item, key, label, options = {}) =>
    h(
      "label",
      {},
      label,
      h("input", { value: item[key] ?? "", ...options, on: { input: write(item, key) } }),
    );
  const area = (item) =>
    h("textarea", { rows: 3, "aria-label": "Body", value: item.body, on: { input: write(item, "body") } });
  const write = (item, key) => (event) => {
    item[key] = event.target.value;
    changed();
  };
  const remove = (list, item) => {
    const click = () => {
      list.splice(list.indexOf(item), 1);
      redraw();
    };
    return h("div", {}, h("button", { class: "plain", title: "Take this out", on: { click } }, "Take out"));
  };
  const group = (name, ...content) => h("fieldset", {}, h("legend", {}, name), ...content);
  const what = (item) => h("span", {}, said(item.topic), ` at place ${item.place} for `, said(item.to));

  const seed = { inputmode: "numeric", placeholder: "as it is" };
  return [
    group("Seed", field(edits, "seed", "another seed from there on", seed)),
    edits.drop.map((item) => group("Drop", what(item), remove(edits.drop, item))),
    edits.replace.map((item) => group("Replace", what(item), area(item), remove(edits.replace, item))),
    edits.inject.map((item) =>
      group(
        "Message",
        h(
          "div",
          { class: "row" },
          field(item, "to", "to", { list: "agents" }),
          field(item, "topic", "topic"),
        ),
        area(item),
        remove(edits.inject, item),
      ),
    ),
    edits.agents.map((item) =>
      group(
        "Agent",
        h(
          "div",
          { class: "row" },
          field(item, "id", "agent", { list: "agents" }),
          field(item, "fuel", "fuel per turn", seed),
          restart(item, changed),
        ),
        remove(edits.agents, item),
      ),
    ),
  ];
}

function restart(item, changed) {
  const change = (event) => {
    item.restart = event.target.checked;
    changed();
  };
  return h(
    "label",
    {},
    h("input", { type: "checkbox", checked: item.restart, on: { change } }),
    "set up anew",
  );
}
