// Views as files: JSON as the server gave it, CSV of the rows in sight.

import { h } from "/static/dom.js";

function cell(value) {
  let text =
    value === null || value === undefined
      ? ""
      : typeof value === "object"
        ? JSON.stringify(value)
        : String(value);
  // A spreadsheet would take these for formulas, and the text is an agent's.
  if (/^[=+\-@\t\r]/.test(text) && typeof value !== "number") text = `'${text}`;
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

export function csv(rows) {
  const names = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  return [names, ...rows.map((row) => names.map((name) => row[name]))]
    .map((line) => line.map(cell).join(","))
    .join("\r\n");
}

export function download(name, text, type) {
  const address = URL.createObjectURL(new Blob([text], { type }));
  const anchor = h("a", { href: address, download: name.replace(/[^\w.-]+/g, "-") });
  anchor.click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}

/** Buttons that save what `current()` gives: `{name, content, rows}`, or null for nothing. */
export function saving(current) {
  const save = (make) => () => {
    const view = current();
    if (view) make(view);
  };
  return h(
    "span",
    { class: "row", role: "group", "aria-label": "Save this view" },
    h(
      "button",
      {
        class: "plain",
        title: "Save this view as JSON",
        on: {
          click: save((view) =>
            download(`${view.name}.json`, JSON.stringify(view.content, null, 2), "application/json"),
          ),
        },
      },
      "JSON",
    ),
    h(
      "button",
      {
        class: "plain",
        title: "Save this view's rows as CSV",
        on: { click: save((view) => download(`${view.name}.csv`, csv(view.rows), "text/csv")) },
      },
      "CSV",
    ),
  );
}
