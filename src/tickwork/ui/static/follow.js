// How far the run in view has come. One stream for the whole page; none while nobody looks at it.

import { listen } from "/static/api.js";

const watchers = new Set();
let run = null;
let stop = null;
let lost = false;

/** What was last heard of the run in view, or null. `growing` says that it has ticked while we looked. */
export let standing = null;
export let growing = false;
let quiet = 0;

export function watch(watcher) {
  watchers.add(watcher);
  return () => watchers.delete(watcher);
}

/** Follow another run, or none for null. */
export function follow(next) {
  if (next === run) return;
  run = next;
  standing = null;
  growing = false;
  connect();
}

function connect() {
  stop?.();
  stop = null;
  if (run === null || document.hidden) return;
  const mine = run;
  stop = listen("events", { run }, { standing: (heard) => mine === run && take(heard) }, (closed) => {
    lost = true;
    tell();
    // A server that was started again refuses at first, or is not there: the browser then gives up.
    if (closed && mine === run) setTimeout(() => mine === run && connect(), 1000);
  });
}

function take(heard) {
  const more = standing && heard.generation === standing.generation && heard.end_tick > standing.end_tick;
  if (more && heard.status === "running") {
    growing = true;
    clearTimeout(quiet);
    quiet = setTimeout(() => {
      growing = false;
      tell();
    }, 5000);
  }
  if (heard.status !== "running") growing = false;
  standing = heard;
  lost = false;
  tell();
}

function tell() {
  for (const watcher of [...watchers]) watcher(standing, { lost, growing });
}

document.addEventListener("visibilitychange", connect);
