// The controls below the timeline: a slider over all ticks, steps, playing, and keeping up with a live run.

import { h } from "/static/dom.js";
import { count } from "/static/format.js";
import { icon } from "/static/icons.js";

export function transport({ tick, bounds, choose }) {
  let timer = 0;
  let following = false;
  const button = (name, title, click) =>
    h("button", { title, "aria-label": title, on: { click } }, icon(name));
  const slider = h("input", {
    type: "range",
    "aria-label": "Tick",
    min: 0,
    max: 0,
    value: 0,
    on: {
      input: () => {
        follow(false);
        choose(Number(slider.value));
      },
    },
  });
  const field = h("input", {
    type: "number",
    "aria-label": "Go to tick",
    min: 0,
    on: {
      change: () => {
        follow(false);
        if (field.value !== "") choose(Number(field.value));
      },
    },
  });
  const play = h(
    "button",
    { "aria-pressed": "false", title: "Play (Space)", "aria-label": "Play", on: { click: () => toggle() } },
    icon("play"),
  );
  const speed = h(
    "select",
    {
      "aria-label": "Ticks per second",
      title: "Ticks per second",
      on: {
        change: () => {
          if (timer) {
            stop();
            start();
          }
        },
      },
    },
    [1, 2, 5, 10, 20, 50].map((rate) => h("option", { value: rate, selected: rate === 5 }, `${rate}/s`)),
  );
  const live = h(
    "button",
    {
      "aria-pressed": "false",
      title: "Keep the newest tick in sight",
      on: { click: () => follow(!following) },
    },
    "Follow",
  );
  const total = h("span", { class: "dim" });

  function step(by) {
    const [first, last] = bounds();
    follow(false);
    choose(Math.max(first, Math.min((tick() ?? first - Math.sign(by)) + by, last)));
  }

  function start() {
    const [first, last] = bounds();
    follow(false);
    if (tick() === null || tick() >= last) choose(first);
    timer = setInterval(
      () => {
        if (tick() >= bounds()[1]) stop();
        else choose(tick() + 1);
      },
      1000 / Number(speed.value),
    );
    pressed(play, true, "pause", "Pause");
  }

  function stop() {
    clearInterval(timer);
    timer = 0;
    pressed(play, false, "play", "Play");
  }

  function toggle() {
    if (timer) stop();
    else start();
  }

  function follow(wanted) {
    following = wanted;
    live.setAttribute("aria-pressed", String(wanted));
    if (wanted) {
      if (timer) stop();
      choose(bounds()[1]);
    }
  }

  function show() {
    const [first, last] = bounds();
    slider.min = first;
    slider.max = last;
    slider.value = tick() ?? first;
    slider.setAttribute("aria-valuetext", tick() === null ? "no tick" : `tick ${tick()} of ${last}`);
    field.max = last;
    if (document.activeElement !== field) field.value = tick() ?? "";
    total.textContent = `of ${count(last)}`;
  }

  const node = h(
    "div",
    { class: "transport", role: "group", "aria-label": "Move in time" },
    button("first", "The first tick (Home)", () => choose(bounds()[0])),
    button("back", "One tick back (←)", () => step(-1)),
    play,
    button("on", "One tick on (→)", () => step(1)),
    button("last", "The last tick (End)", () => choose(bounds()[1])),
    speed,
    slider,
    field,
    total,
    live,
  );
  return { node, show, toggle, follow, following: () => following, close: stop };
}

function pressed(button, on, name, label) {
  button.setAttribute("aria-pressed", String(on));
  button.setAttribute("aria-label", label);
  button.replaceChildren(icon(name));
}
