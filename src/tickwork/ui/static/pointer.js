// The mouse, pen or finger over the timeline's lanes: what it points at, dragging, clicks and the wheel.

import { fill, h, said } from "/static/dom.js";
import { arrowPath, turnWidth } from "/static/draw.js";
import { count } from "/static/format.js";
import { GUTTER, RULER } from "/static/view.js";

// How near in pixels an arrow must be, and how far a drag must go to be no click.
const REACH = 5;
const DRAG = 4;

/** Listen to the pointer; `choose(tick, lane, options)` gets a tick of null for a click beside the lanes. */
export function pointer(canvas, { view, names, answer, changed, choose, open }) {
  const tip = h("div", { class: "tip", hidden: true });
  let hovered = null;
  let drag = null;

  function arrowAt(x, y) {
    const detail = answer()?.detail;
    if (!detail || view.tickPx < 6) return null;
    const width = turnWidth(view);
    let best = null;
    let nearest = REACH;
    for (const message of detail.messages) {
      const path = arrowPath(view, message, width);
      if (x < path.x || x > path.end) continue;
      const t = (x - path.x) / Math.max(path.end - path.x, 1);
      const eased = t * t * (3 - 2 * t);
      const off = Math.abs(path.y + (path.bottom - path.y) * eased - y);
      if (off < nearest) {
        nearest = off;
        best = message;
      }
    }
    return best;
  }

  function hover({ offsetX: x, offsetY: y }) {
    const message = x > GUTTER && y > RULER ? arrowAt(x, y) : null;
    if (message !== hovered) {
      hovered = message;
      changed();
    }
    const lane = view.laneAt(y);
    const text = y > RULER && lane < view.agents ? told(message, view.tickAt(x), lane, x) : null;
    tip.hidden = text === null;
    if (text === null) return;
    fill(tip, ...text);
    place(x + 14, canvas.offsetTop + y + 14);
  }

  function place(x, y) {
    const room = tip.parentElement.getBoundingClientRect();
    tip.style.left = `${Math.max(0, Math.min(x, room.width - tip.offsetWidth - 8))}px`;
    tip.style.top = `${Math.max(0, Math.min(y, room.height - tip.offsetHeight - 8))}px`;
  }

  function told(message, tick, lane, x) {
    const detail = answer()?.detail;
    if (message) return toldMessage(message, detail);
    const name = names.get(lane);
    if (x < GUTTER) return name ? [said(name)] : null;
    const here = (each) => each[0] === tick && each[1] === lane;
    const turn = detail?.turns.find(here);
    const faults = (detail?.faults ?? []).filter(here);
    if (turn || faults.length > 0) return toldTurn(turn, name ?? `#${lane}`, tick, faults, detail);
    if (detail) return null;
    return [said(name ?? `agents from #${lane}`), h("div", { class: "dim" }, `around tick ${count(tick)}`)];
  }

  function toldMessage([sent, from, , found, to, topic], detail) {
    return [
      h("strong", {}, said(detail.topics[topic])),
      h("div", {}, said(names.get(from) ?? `#${from}`), " → ", said(names.get(to) ?? `#${to}`)),
      h("div", { class: "dim" }, `sent in tick ${count(sent)}, found in ${count(found)}`),
    ];
  }

  function toldTurn(turn, name, tick, faults, detail) {
    const [, , bits, fuel, effects] = turn ?? [];
    const marks = detail.marks.filter((_, mark) => bits & (1 << mark));
    const broken = faults.map(([, , kind]) => detail.fault_kinds[kind]);
    const recovery = detail.recoveries.find((each) => each[0] === tick && names.get(each[1]) === name);
    return [
      h("strong", {}, said(name)),
      ` in tick ${count(tick)}`,
      h("div", { class: "dim" }, turn ? `${count(effects)} effects, ${count(fuel)} fuel` : "no turn"),
      marks.length > 0 && h("div", {}, marks.join(", ")),
      broken.length > 0 && h("div", {}, "fault: ", broken.join(", ")),
      recovery && h("div", {}, `was ${detail.recovery_kinds[recovery[2]]}`),
    ];
  }

  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    drag = { x: event.offsetX, y: event.offsetY, far: false };
  });
  canvas.addEventListener("pointermove", (event) => {
    if (drag === null) {
      hover(event);
      return;
    }
    const [dx, dy] = [event.offsetX - drag.x, event.offsetY - drag.y];
    if (!drag.far && Math.hypot(dx, dy) < DRAG) return;
    view.move(dx, dy);
    drag = { x: event.offsetX, y: event.offsetY, far: true };
    tip.hidden = true;
    changed();
  });
  canvas.addEventListener("pointerup", (event) => {
    const click = drag !== null && !drag.far;
    drag = null;
    if (!click) return;
    const { offsetX: x, offsetY: y } = event;
    const message = y > RULER && x > GUTTER ? arrowAt(x, y) : null;
    if (message) {
      choose(message[0], message[1], { pointed: `effect-${message[2]}` });
      return;
    }
    const lane = view.laneAt(y);
    choose(x > GUTTER ? view.tickAt(x) : null, y > RULER && lane < view.agents ? lane : null);
  });
  canvas.addEventListener("dblclick", open);
  canvas.addEventListener("pointerleave", () => {
    tip.hidden = true;
    if (hovered) {
      hovered = null;
      changed();
    }
  });
  canvas.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      wheel(event, event.deltaMode === 1 ? 18 : 1);
      changed();
    },
    { passive: false },
  );

  function wheel({ offsetX: x, offsetY: y, deltaX, deltaY, shiftKey, ctrlKey }, unit) {
    if (shiftKey) view.move(-(deltaY || deltaX) * unit, 0);
    else if (x < GUTTER && ctrlKey) view.zoomLanes(Math.exp(-deltaY * unit * 0.002), y);
    else if (x < GUTTER) view.move(0, -deltaY * unit);
    else if (Math.abs(deltaX) > Math.abs(deltaY)) view.move(-deltaX * unit, 0);
    else view.zoom(Math.exp(deltaY * unit * 0.0018), x);
  }

  function say(text) {
    tip.hidden = false;
    fill(tip, text);
    place(GUTTER + 20, 60);
  }

  return { tip, say, hovered: () => hovered };
}
