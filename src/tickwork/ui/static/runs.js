// All run files of the folder.

import { ask } from "/static/api.js";
import { empty, failed, fill, h, loading, said } from "/static/dom.js";
import { count, plural, size, statusChip, when } from "/static/format.js";
import { go, link } from "/static/route.js";
import { saving } from "/static/save.js";

const LOOK_MS = 1000;

export function runs() {
  const list = h("div", { class: "panel", id: "runs" }, loading());
  const filter = h("input", {
    type: "search",
    placeholder: "Filter by name or digest",
    "aria-label": "Filter runs",
    on: { input: () => show() },
  });
  const told = h("span", { class: "dim" });
  const node = h(
    "div",
    { class: "page" },
    h(
      "header",
      {},
      h("h1", {}, "Runs"),
      told,
      h("span", { class: "grow" }),
      filter,
      saving(() => rows && { name: "runs", content: rows, rows: rows.map(flat) }),
    ),
    list,
  );
  let rows = null;
  let seen = new Map();
  let last = "";
  let timer = 0;
  let closed = false;

  async function look() {
    try {
      if (!document.hidden) {
        const found = (await ask("runs")).runs;
        const text = JSON.stringify(found);
        if (text !== last && !closed) {
          const before = seen;
          seen = new Map(found.map((row) => [row.file, row]));
          rows = found.map((row) => ({
            ...row,
            growing:
              row.status === "running" && before.has(row.file) && before.get(row.file).ticks < row.ticks,
          }));
          last = text;
          show();
        } else if (rows?.some((row) => row.growing)) {
          rows = rows.map((row) => ({ ...row, growing: false }));
          show();
        }
      }
    } catch (error) {
      last = "";
      if (!closed) fill(list, failed(error, look));
    }
    clearTimeout(timer);
    if (!closed) timer = setTimeout(look, LOOK_MS);
  }

  function show() {
    if (rows === null) return;
    const text = filter.value.toLowerCase();
    const shown = rows.filter((row) =>
      `${row.file} ${row.name} ${row.digest} ${row.run}`.toLowerCase().includes(text),
    );
    fill(told, plural(rows.length, "run file"));
    if (rows.length === 0) {
      fill(
        list,
        empty("No run files here yet", "Make one with `tickwork run`; it will appear here by itself."),
      );
      return;
    }
    if (shown.length === 0) {
      fill(list, empty("Nothing matches", "No run has this in its name or digest."));
      return;
    }
    const columns = ["Run", "State", "Ticks", "Agents", "Seed", "Digest", "Parent", "Size", "Changed", ""];
    const numbers = new Set(["Ticks", "Agents", "Seed", "Size"]);
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
        h("tbody", {}, shown.map(rowOf)),
      ),
    );
  }

  look();
  return {
    node,
    title: "Runs",
    close: () => {
      closed = true;
      clearTimeout(timer);
    },
  };
}

function rowOf(row) {
  if (row.error !== null) {
    return h(
      "tr",
      {},
      h("td", {}, h("strong", {}, said(row.file))),
      h("td", {}, h("span", { class: "chip fail" }, "unreadable")),
      h("td", { colspan: 5, class: "dim" }, said(row.error)),
      h("td", { class: "number" }, size(row.bytes)),
      h("td", { class: "dim when" }, when(row.modified_ns)),
      h("td"),
    );
  }
  const place = link("timeline", { run: row.file });
  const open = (event) => {
    if (!event.target.closest("a")) go("timeline", { run: row.file });
  };
  return h(
    "tr",
    { class: "link", on: { click: open } },
    h(
      "td",
      {},
      h("a", { href: place }, h("strong", {}, said(row.file))),
      row.name && h("div", { class: "faint" }, said(row.name)),
    ),
    h("td", {}, statusChip(row.status, row.growing)),
    h("td", { class: "number" }, count(row.ticks)),
    h("td", { class: "number" }, count(row.agents)),
    h("td", { class: "number" }, String(row.seed)),
    h("td", { class: "mono", title: `digest ${row.digest}\nexact  ${row.exact}` }, row.digest.slice(0, 12)),
    h("td", {}, parentOf(row.parent)),
    h("td", { class: "number" }, size(row.bytes)),
    h("td", { class: "dim when" }, when(row.modified_ns)),
    h(
      "td",
      {},
      h(
        "a",
        { href: link("compare", { a: row.parent?.file ?? row.file, b: row.parent?.file ? row.file : null }) },
        "compare",
      ),
    ),
  );
}

function parentOf(parent) {
  if (parent === null) return h("span", { class: "faint" }, "none");
  const where = `before tick ${count(parent.tick)}`;
  if (parent.file === null)
    return h(
      "span",
      { title: parent.run },
      h("span", { class: "mono" }, parent.run.slice(0, 8)),
      ` ${where}`,
    );
  return h(
    "a",
    { href: link("timeline", { run: parent.file, tick: parent.tick }) },
    said(parent.file),
    ` ${where}`,
  );
}

function flat(row) {
  return { ...row, parent: row.parent?.run, parent_tick: row.parent?.tick };
}
