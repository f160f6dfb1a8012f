// What is around the lanes: the ruler with its ticks, snapshots and damage, and the scrollbar.

import { GUTTER, RULER } from "/static/view.js";
import { short } from "/static/format.js";

/** The distance between two labels of the ruler, in ticks: 1, 2 or 5 times a power of ten. */
function rulerStep(view, room = 74) {
  const least = room / view.tickPx;
  let step = 1;
  while (step < least) {
    const lead = Number(String(step)[0]);
    step = lead === 2 ? step * 2.5 : step * 2;
  }
  return step;
}

export function ruler(context, view, answer, selected, colour) {
  context.fillStyle = colour.raised;
  context.fillRect(0, 0, view.width, RULER);
  context.fillStyle = colour.line;
  context.fillRect(0, RULER - 1, view.width, 1);
  context.font = "11px system-ui, sans-serif";
  context.textAlign = "left";
  context.textBaseline = "middle";
  context.fillStyle = colour.dim;
  context.fillText(answer ? `${short(view.agents)} agents` : "", 10, RULER / 2);
  context.save();
  context.beginPath();
  context.rect(GUTTER, 0, view.width, RULER);
  context.clip();
  const step = rulerStep(view);
  context.textAlign = "center";
  for (let tick = Math.ceil(view.from / step) * step; tick <= view.to; tick += step) {
    const x = view.middle(tick);
    context.fillStyle = colour.line;
    context.fillRect(Math.round(x), RULER - 6, 1, 6);
    context.fillStyle = colour.dim;
    const text = tick.toLocaleString("en");
    const half = context.measureText(text).width / 2 + 3;
    // At the edges a label moves aside rather than lose a part.
    context.fillText(text, Math.max(GUTTER + half, Math.min(x, view.width - half)), RULER / 2 - 1);
  }
  context.fillStyle = colour.faint;
  for (const tick of answer?.snapshots ?? []) diamond(context, view.x(tick), RULER - 4);
  context.fillStyle = colour.fail;
  for (const tick of answer?.damaged ?? []) context.fillRect(view.x(tick), 0, Math.max(view.tickPx, 3), 4);
  if (selected.tick !== null) {
    const text = selected.tick.toLocaleString("en");
    const wide = context.measureText(text).width + 12;
    const x = Math.max(GUTTER + wide / 2, Math.min(view.middle(selected.tick), view.width - wide / 2));
    context.fillStyle = colour.accent;
    context.beginPath();
    context.roundRect(x - wide / 2, 4, wide, RULER - 9, 5);
    context.fill();
    context.fillStyle = colour.panel;
    context.fillText(text, x, RULER / 2 - 0.5);
  }
  context.restore();
}

function diamond(context, x, y) {
  context.beginPath();
  context.moveTo(x, y - 3);
  context.lineTo(x + 3, y);
  context.lineTo(x, y + 3);
  context.lineTo(x - 3, y);
  context.fill();
}

export function scrollbar(context, view, colour) {
  const room = view.height - RULER;
  const whole = view.agents * view.lane;
  if (whole <= room) return;
  context.fillStyle = colour.faint;
  context.globalAlpha = 0.5;
  context.beginPath();
  context.roundRect(
    view.width - 7,
    RULER + (view.scroll / whole) * room + 2,
    5,
    Math.max((room / whole) * room - 4, 14),
    2.5,
  );
  context.fill();
  context.globalAlpha = 1;
}
