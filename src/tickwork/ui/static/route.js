// Where the page stands is its address: `#/PAGE?name=value`. Every view can be linked to.

/** Return the page's name and its parameters. */
export function here() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  return { page: path || "runs", asked: new URLSearchParams(query) };
}

export function link(page, asked = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(asked)) {
    if (value !== null && value !== undefined && value !== "") query.set(name, value);
  }
  const text = query.toString();
  return `#/${page}${text ? `?${text}` : ""}`;
}

export function go(page, asked = {}) {
  location.hash = link(page, asked);
}

/** Change the address without a step in the history: for what moves often, such as the tick. */
export function note(page, asked) {
  history.replaceState(null, "", link(page, asked));
}

/** Return a parameter as a whole number from 0 on, or `otherwise`. */
export function numberOf(asked, name, otherwise = null) {
  const text = asked.get(name);
  if (text === null || !/^\d{1,16}$/.test(text)) return otherwise;
  return Number(text);
}
