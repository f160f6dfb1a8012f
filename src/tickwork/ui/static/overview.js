// The whole run in one strip, with the part that is in sight. Drag to move it.

import { h } from "/static/dom.js";
import { GUTTER } from "/static/view.js";

export function overview(view, moved) {
  const canvas = h("canvas", {
    class: "overview",
    role: "img",
    "aria-label": "The whole run; the timeline below shows the marked part",
  });
  let answer = null;

  function tickAt(x) {
    return view.first + ((x - GUTTER) / Math.max(view.width - GUTTER, 1)) * (view.end - view.first);
  }

  function drag(event) {
    if (event.buttons !== 1) return;
    view.centre(tickAt(event.offsetX));
    moved();
  }
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    drag(event);
  });
  canvas.addEventListener("pointermove", drag);

  function draw(colour, selected) {
    const scale = devicePixelRatio || 1;
    const height = 46;
    canvas.width = Math.round(view.width * scale);
    canvas.height = Math.round(height * scale);
    canvas.style.width = `${view.width}px`;
    const context = canvas.getContext("2d");
    context.scale(scale, scale);
    context.fillStyle = colour.raised;
    context.fillRect(0, 0, view.width, height);
    const wide = view.width - GUTTER;
    const x = (tick) => GUTTER + ((tick - view.first) / (view.end - view.first)) * wide;
    context.font = "11px system-ui, sans-serif";
    context.textBaseline = "middle";
    context.fillStyle = colour.dim;
    context.fillText("whole run", 10, height / 2);
    if (answer?.density) {
      const { first, width, columns, turns, messages, marks, kinds } = answer.density;
      const busiest = Math.max(1, ...messages, ...turns);
      for (let column = 0; column < columns; column += 1) {
        const left = x(first + column * width);
        const step = Math.max(x(first + (column + 1) * width) - left, 1);
        const tall = (found) => Math.sqrt(found / busiest) * (height - 10);
        context.globalAlpha = 0.35;
        context.fillStyle = colour.turn;
        context.fillRect(left, height - 3 - tall(messages[column]), step, tall(messages[column]));
        context.globalAlpha = 0.9;
        context.fillRect(left, height - 3 - tall(turns[column]) * 0.5, step, tall(turns[column]) * 0.5);
      }
      context.globalAlpha = 1;
      for (const [, column, kind] of marks) {
        if (kinds[kind] === "notes") continue;
        const named = { failed: colour.fail, requests: colour.request, faults: colour.fault };
        context.fillStyle = named[kinds[kind]] ?? colour.warn;
        context.fillRect(x(first + column * width) - 1, 2, 2.5, 6);
      }
    }
    const from = x(view.from);
    const to = Math.max(x(view.to), from + 4);
    context.fillStyle = colour.panel;
    context.globalAlpha = 0.6;
    context.fillRect(GUTTER, 0, from - GUTTER, height);
    context.fillRect(to, 0, view.width - to, height);
    context.globalAlpha = 1;
    context.strokeStyle = colour.accent;
    context.lineWidth = 1.5;
    context.strokeRect(from + 0.5, 0.75, Math.max(to - from - 1, 2), height - 1.5);
    if (selected.tick !== null) {
      context.fillStyle = colour.accent;
      context.fillRect(x(selected.tick + 0.5) - 0.75, 0, 1.5, height);
    }
  }

  return {
    canvas,
    draw,
    take: (found) => {
      answer = found;
    },
  };
}
