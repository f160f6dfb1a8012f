// The page's frame: which page is shown, the bar above it, and what is the same everywhere.

import { ask } from "/static/api.js";
import { failed, fill, h, said } from "/static/dom.js";
import { count, plural, statusChip } from "/static/format.js";
import { follow, watch } from "/static/follow.js";
import { icon } from "/static/icons.js";
import { isTyping, showKeys } from "/static/keys.js";
import { go, here, link } from "/static/route.js";
import { isDark, toggleTheme } from "/static/theme.js";

const PAGES = {
  runs: async () => (await import("/static/runs.js")).runs,
  timeline: async () => (await import("/static/timeline.js")).timeline,
  tick: async () => (await import("/static/tick.js")).tick,
  search: async () => (await import("/static/search.js")).search,
  inference: async () => (await import("/static/inference.js")).inference,
  compare: async () => (await import("/static/compare.js")).compare,
  fork: async () => (await import("/static/fork.js")).fork,
};
const TABS = {
  timeline: "Timeline",
  tick: "Tick",
  search: "Search",
  inference: "Inference",
  compare: "Compare",
  fork: "Fork",
};
const JUMPS = { r: "runs", t: "timeline", k: "tick", s: "search", i: "inference", c: "compare", f: "fork" };

const main = document.getElementById("main");
const top = document.getElementById("top");
const banner = document.getElementById("banner");
const state = h("span", { class: "row", id: "standing" });
let shown = null;
let shownKey = "";
let server = null;
let jumping = false;

/** What goes along from page to page of one run. */
function kept(page) {
  const { asked } = here();
  const run = asked.get("run") ?? asked.get("a");
  if (page === "runs" || run === null) return {};
  if (page === "compare") return { a: run };
  return { run, tick: asked.get("tick"), agent: asked.get("agent") };
}

function bar(page, run) {
  const tab = (name) =>
    h("a", { href: link(name, kept(name)), "aria-current": name === page ? "page" : null }, TABS[name]);
  fill(
    top,
    h("a", { class: "brand", href: "#/runs" }, h("img", { src: "/static/icon.svg", alt: "" }), "tickwork"),
    run !== null && h("span", { class: "crumb", title: run }, said(run)),
    h(
      "nav",
      { class: "tabs", "aria-label": "Pages" },
      h("a", { href: "#/runs", "aria-current": page === "runs" ? "page" : null }, "Runs"),
      run !== null && Object.keys(TABS).map(tab),
    ),
    h("span", { class: "grow" }),
    run !== null && state,
    h(
      "button",
      {
        class: "plain",
        title: "Light or dark (d)",
        "aria-label": isDark() ? "Use the light theme" : "Use the dark theme",
        on: {
          click: () => {
            toggleTheme();
            bar(page, run);
          },
        },
      },
      icon(isDark() ? "sun" : "moon"),
    ),
    h(
      "button",
      {
        class: "plain",
        title: "Keyboard (?)",
        "aria-label": "Show the keyboard's keys",
        on: { click: showKeys },
      },
      "?",
    ),
  );
}

async function show() {
  const { page, asked } = here();
  const run = asked.get("run") ?? (page === "compare" ? asked.get("a") : null);
  follow(page === "runs" || page === "compare" ? null : run);
  fill(state);
  bar(page, run);
  const key = `${page} ${run}`;
  if (key === shownKey && shown?.update) {
    shown.update(asked);
    return;
  }
  shown?.close?.();
  shown = null;
  shownKey = key;
  try {
    if (!(page in PAGES)) throw new Error(`there is no page ${page}`);
    if (run === null && !["runs", "compare"].includes(page)) {
      go("runs");
      return;
    }
    const make = await PAGES[page]();
    if (shownKey !== key) return;
    server ??= await ask("server");
    if (shownKey !== key) return;
    shown = make(asked, { run, server });
    fill(main, shown.node);
    document.title = `${run ? `${run} · ` : ""}${shown.title} · tickwork`;
  } catch (error) {
    if (shownKey !== key) return;
    shownKey = "";
    fill(main, failed(error, show));
  }
}

watch((standing, { lost, growing }) => {
  banner.hidden = !lost && !standing?.error && !standing?.missing;
  if (lost) fill(banner, "The viewer's server does not answer; trying again. What you see is from before.");
  else if (standing?.error) fill(banner, "The run file cannot be read just now: ", said(standing.error), ".");
  else if (standing?.missing)
    fill(
      banner,
      `${count(standing.missing)} places of the record are damaged; the first, at tick ${count(standing.damage[0].tick)}: `,
      said(standing.damage[0].reason),
      ".",
    );
  if (standing === null) return;
  const behind = standing.end_tick - standing.indexed;
  fill(
    state,
    statusChip(standing.status, growing),
    h(
      "span",
      { class: "dim" },
      `${plural(standing.end_tick - standing.first_tick, "tick")} · ${plural(standing.agents, "agent")}`,
    ),
    behind > 100 &&
      h("span", { class: "chip" }, `reading ${Math.floor((100 * standing.indexed) / standing.end_tick)} %`),
  );
});

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event)) return;
  const { page, asked } = here();
  if (jumping) {
    jumping = false;
    const to = JUMPS[event.key];
    if (to && (to === "runs" || asked.get("run") || asked.get("a"))) {
      go(to, kept(to));
      event.preventDefault();
    }
    return;
  }
  if (event.key === "g") jumping = true;
  else if (event.key === "?") showKeys();
  else if (event.key === "d") {
    toggleTheme();
    bar(page, asked.get("run") ?? asked.get("a"));
  } else if (event.key === "/" && asked.get("run")) {
    go("search", kept("search"));
    event.preventDefault();
  } else if (shown?.key?.(event)) event.preventDefault();
});
addEventListener("hashchange", show);
show();
