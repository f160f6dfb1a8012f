// Draws the timeline: counts when it is far away, turns and messages when it is near.

import { GUTTER, RULER } from "/static/view.js";
import { ruler, scrollbar } from "/static/ruler.js";
import { visible } from "/static/dom.js";

const FAILED = 1,
  DENIED = 2,
  REJECTED = 4,
  REQUEST = 8,
  NOTE = 16,
  MEMBERSHIP = 32,
  OUTPUT = 64;

/** The theme's colours, as the styles have them. */
export function colours() {
  const style = getComputedStyle(document.documentElement);
  const names = [
    "panel",
    "raised",
    "line",
    "line-soft",
    "text",
    "dim",
    "faint",
    "accent",
    "accent-soft",
    "turn",
    "fail",
    "warn",
    "request",
    "note",
    "ok",
    "lane",
    "fault",
  ];
  return Object.fromEntries(
    names.map((name) => [name.replace("-", ""), style.getPropertyValue(`--${name}`).trim()]),
  );
}

/** A topic's own hue, the same wherever it is met. */
export function hue(topic) {
  let sum = 7;
  for (const char of topic) sum = (sum * 31 + char.codePointAt(0)) >>> 0;
  return (sum * 137) % 360;
}

export function turnWidth(view) {
  return Math.max(3, Math.min(view.tickPx * 0.6, 30));
}

export function draw(context, view, answer, selected, hovered, colour) {
  context.fillStyle = colour.panel;
  context.fillRect(0, 0, view.width, view.height);
  context.save();
  context.beginPath();
  context.rect(0, RULER, view.width, view.height - RULER);
  context.clip();
  backgrounds(context, view, answer, selected, colour);
  context.save();
  context.beginPath();
  context.rect(GUTTER, RULER, view.width - GUTTER, view.height - RULER);
  context.clip();
  cursor(context, view, selected, colour);
  lives(context, view, answer, colour);
  if (answer?.density) density(context, view, answer, colour);
  if (answer?.detail) detail(context, view, answer.detail, selected, hovered, colour);
  context.restore();
  names(context, view, answer, selected, colour);
  context.restore();
  ruler(context, view, answer, selected, colour);
  scrollbar(context, view, colour);
}

function backgrounds(context, view, answer, selected, colour) {
  const { first, count } = view.lanes;
  if (view.lane >= 8) {
    for (let lane = first; lane < first + count; lane += 1) {
      if (lane % 2 === 0) continue;
      context.fillStyle = colour.lane;
      context.fillRect(0, view.y(lane), view.width, view.lane);
    }
  }
  if (selected.lane !== null) {
    context.fillStyle = colour.accentsoft;
    context.fillRect(0, view.y(selected.lane), view.width, Math.max(view.lane, 2));
  }
}

function cursor(context, view, selected, colour) {
  if (selected.tick === null) return;
  const width = Math.max(view.tickPx, 1.5);
  context.globalAlpha = 0.16;
  context.fillStyle = colour.accent;
  context.fillRect(view.x(selected.tick), RULER, width, view.height);
  context.globalAlpha = 1;
}

/** From when to when an agent was there. */
function lives(context, view, answer, colour) {
  if (!answer || view.lane < 6) return;
  for (const row of answer.rows) {
    const y = view.y(row.index) + view.lane / 2;
    const from = view.x(Math.max(row.born, view.first));
    const to = row.ended === null ? view.x(answer.end_tick) : view.middle(row.ended);
    context.strokeStyle = colour.line;
    context.lineWidth = 1;
    context.beginPath();
    context.moveTo(Math.max(from, GUTTER), Math.round(y) + 0.5);
    context.lineTo(Math.min(to, view.width), Math.round(y) + 0.5);
    context.stroke();
    if (row.ended !== null && row.count === 1 && to > GUTTER)
      cross(context, to + turnWidth(view) / 2 + 4, y, row.ending === "stopped" ? colour.faint : colour.fail);
  }
}

function cross(context, x, y, colour) {
  context.strokeStyle = colour;
  context.lineWidth = 1.6;
  context.beginPath();
  context.moveTo(x - 3, y - 3);
  context.lineTo(x + 3, y + 3);
  context.moveTo(x + 3, y - 3);
  context.lineTo(x - 3, y + 3);
  context.stroke();
}

function density(context, view, answer, colour) {
  const { first, width, columns, turns, messages, marks, kinds } = answer.density;
  const wide = Math.max(view.tickPx * width, 1);
  const busiest = messages.reduce((most, found) => Math.max(most, found), 1);
  answer.rows.forEach((row, place) => {
    const top = view.y(row.index);
    const tall = view.lane * row.count;
    const room = tall > 6 ? tall - 4 : tall;
    for (let column = 0; column < columns; column += 1) {
      const found = turns[place * columns + column];
      if (found === 0) continue;
      const x = view.x(first + column * width);
      if (x + wide < GUTTER || x > view.width) continue;
      const share = Math.min(1, found / (width * row.count));
      const height = Math.max(
        1,
        room * (0.25 + 0.75 * Math.sqrt(messages[place * columns + column] / busiest)),
      );
      context.globalAlpha = 0.25 + 0.75 * Math.sqrt(share);
      context.fillStyle = colour.turn;
      context.fillRect(x, top + (tall - height) / 2, Math.max(wide - (wide > 3 ? 1 : 0), 1), height);
    }
  });
  context.globalAlpha = 1;
  const paint = {
    failed: colour.fail,
    denied: colour.warn,
    rejected: colour.warn,
    requests: colour.request,
    notes: colour.note,
    faults: colour.fault,
  };
  for (const [place, column, kind] of marks) {
    const row = answer.rows[place];
    if (!row) continue;
    const top = view.y(row.index);
    const tall = view.lane * row.count;
    const name = kinds[kind];
    context.fillStyle = paint[name];
    const x = view.x(first + column * width) + wide / 2;
    if (name === "failed") context.fillRect(x - 1.5, top, 3, Math.max(tall, 2));
    else if (name === "notes") {
      if (tall > 5) context.fillRect(x - 1.5, top + 1, 3, 3);
    } else if (name === "faults") wedge(context, x, top, Math.min(3.5, tall));
    else context.fillRect(x - 1.5, top + tall - Math.min(5, tall), 3, Math.min(5, tall));
  }
}

function detail(context, view, content, selected, hovered, colour) {
  const width = turnWidth(view);
  const tall = Math.max(2, Math.min(view.lane - 6, 18));
  arrows(context, view, content, selected, hovered, colour, width);
  context.fillStyle = colour.ok;
  if (view.lane >= 12)
    for (const [tick, lane] of content.inputs) {
      const x = view.middle(tick) - width / 2 - 1;
      const y = view.y(lane) + view.lane / 2;
      context.beginPath();
      context.moveTo(x - 5, y - 4);
      context.lineTo(x, y);
      context.lineTo(x - 5, y + 4);
      context.fill();
    }
  context.font = "600 10px system-ui, sans-serif";
  context.textAlign = "center";
  context.textBaseline = "middle";
  for (const [tick, lane, marks, , effects] of content.turns) {
    const x = view.middle(tick) - width / 2;
    const y = view.y(lane) + (view.lane - tall) / 2;
    const chosen = selected.tick === tick && selected.lane === lane;
    context.fillStyle =
      marks & FAILED
        ? colour.fail
        : marks & (DENIED | REJECTED)
          ? colour.warn
          : marks & REQUEST
            ? colour.request
            : colour.turn;
    context.globalAlpha = effects || marks ? 1 : 0.55;
    context.beginPath();
    context.roundRect(x, y, width, tall, Math.min(4, width / 3));
    context.fill();
    context.globalAlpha = 1;
    if (chosen) {
      context.strokeStyle = colour.text;
      context.lineWidth = 2;
      context.stroke();
    }
    if (width >= 18 && tall >= 13 && effects) {
      context.fillStyle = colour.panel;
      context.fillText(String(effects), x + width / 2, y + tall / 2 + 0.5);
    }
    if (tall >= 8 && marks & NOTE) badge(context, x + width, y, colour.note, colour.panel);
    if (tall >= 8 && marks & MEMBERSHIP) badge(context, x, y, colour.ok, colour.panel);
    if (tall >= 8 && marks & OUTPUT) {
      context.fillStyle = colour.text;
      context.fillRect(x, y + tall + 1, width, 1.5);
    }
  }
  context.fillStyle = colour.fault;
  for (const [tick, lane] of content.faults)
    wedge(context, view.middle(tick), view.y(lane), view.lane >= 12 ? 5 : 3);
  if (view.lane >= 8)
    for (const [tick, lane, how] of content.recoveries)
      loop(context, view.middle(tick) + width / 2 + 7, view.y(lane) + view.lane / 2, how === 1, colour.ok);
}

/** An agent goes on after a failure: round and on if it was set up anew, the other way if it went back. */
function loop(context, x, y, back, colour) {
  const side = back ? -1 : 1;
  context.strokeStyle = colour;
  context.fillStyle = colour;
  context.lineWidth = 1.6;
  context.beginPath();
  context.arc(x, y, 4, back ? Math.PI * 1.2 : -Math.PI * 0.2, back ? -Math.PI * 0.3 : Math.PI * 1.3, back);
  context.stroke();
  context.beginPath();
  context.moveTo(x - side * 1, y - 4 - 3);
  context.lineTo(x + side * 4, y - 4);
  context.lineTo(x - side * 1, y - 4 + 3);
  context.fill();
}

/** A fault's mark: a wedge that points down. */
function wedge(context, x, y, size) {
  context.beginPath();
  context.moveTo(x - size, y);
  context.lineTo(x + size, y);
  context.lineTo(x, y + size * 1.5);
  context.fill();
}

function badge(context, x, y, colour, around) {
  context.beginPath();
  context.arc(x, y, 3.4, 0, 7);
  context.fillStyle = colour;
  context.fill();
  context.strokeStyle = around;
  context.lineWidth = 1;
  context.stroke();
}

export function arrowPath(view, message, width) {
  const [sent, from, , found, to] = message;
  const x = view.middle(sent) + width / 2;
  const end = view.middle(found) - width / 2;
  return {
    x,
    y: view.y(from) + view.lane / 2,
    end,
    bottom: view.y(to) + view.lane / 2,
    bend: Math.max((end - x) * 0.5, 6),
  };
}

function arrows(context, view, content, selected, hovered, colour, width) {
  if (view.tickPx < 6) return;
  const crowd = Math.min(1, 250 / Math.max(content.messages.length, 1));
  for (const message of content.messages) {
    const { x, y, end, bottom, bend } = arrowPath(view, message, width);
    if ((y < RULER - 400 && bottom < RULER) || (y > view.height + 400 && bottom > view.height)) continue;
    const touches =
      (message[0] === selected.tick && message[1] === selected.lane) ||
      (message[3] === selected.tick && message[4] === selected.lane);
    const lit = message === hovered || touches;
    const shade = `hsl(${hue(content.topics[message[5]])} 62% 55%)`;
    context.globalAlpha = lit ? 1 : 0.2 + 0.5 * crowd;
    context.strokeStyle = shade;
    context.fillStyle = shade;
    context.lineWidth = lit ? 2 : 1.1;
    context.beginPath();
    context.moveTo(x, y);
    context.bezierCurveTo(x + bend, y, end - bend, bottom, end - 3, bottom);
    context.stroke();
    if (view.tickPx >= 12) {
      context.beginPath();
      context.moveTo(end, bottom);
      context.lineTo(end - 5, bottom - 3);
      context.lineTo(end - 5, bottom + 3);
      context.fill();
    }
  }
  context.globalAlpha = 1;
}

function names(context, view, answer, selected, colour) {
  context.fillStyle = colour.panel;
  context.fillRect(0, RULER, GUTTER, view.height);
  context.font = "12px system-ui, sans-serif";
  context.textAlign = "left";
  context.textBaseline = "middle";
  let below = -99;
  for (const row of answer?.rows ?? []) {
    const y = view.y(row.index) + (view.lane * row.count) / 2;
    if (row.index === selected.lane) {
      context.fillStyle = colour.accentsoft;
      context.fillRect(0, view.y(row.index), GUTTER, Math.max(view.lane, 2));
    }
    if (y - below < 14) continue;
    below = y;
    context.fillStyle =
      row.index === selected.lane ? colour.accent : row.ended === null ? colour.text : colour.faint;
    context.fillText(clipped(context, visible(row.id)), 10, y + 0.5);
  }
  context.strokeStyle = colour.line;
  context.lineWidth = 1;
  context.beginPath();
  context.moveTo(GUTTER + 0.5, RULER);
  context.lineTo(GUTTER + 0.5, view.height);
  context.stroke();
}

function clipped(context, text) {
  const room = GUTTER - 18;
  if (context.measureText(text).width <= room) return text;
  while (text.length > 1 && context.measureText(`${text}…`).width > room) text = text.slice(0, -1);
  return `${text}…`;
}
