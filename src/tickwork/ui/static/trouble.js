// Finds what went wrong: the nearest failure, refusal, fault or request, first by counts and then by turn.

import { ask } from "/static/api.js";

// The marks of turns that are worth a visit, as bits: failed, denied, rejected, request.
const MARKED = 0b1111;
const NEAR_TICKS = 200;

/** Return `{tick, lane}` of the nearest trouble after (or, with `direction` -1, before) `tick`, or null. */
export async function nearestTrouble(run, view, tick, direction) {
  const forwards = direction > 0;
  let low = forwards ? (tick ?? view.first - 1) + 1 : view.first;
  let high = forwards ? view.end - 1 : (tick ?? view.end) - 1;
  while (low <= high) {
    const near = high - low < NEAR_TICKS;
    const asked = { run, first: low, last: high, lanes: view.agents, columns: 200, rows: 200 };
    const found = await ask("timeline", { ...asked, detail: near });
    if (found.detail) return nearestTurn(found.detail, low, high, forwards);
    const column = nearestColumn(found.density, direction);
    if (column === null) return null;
    const { first, width } = found.density;
    const begin = first + column * width;
    // There were too many turns for detail, so the tick is all that can be told.
    if (near && width === 1) return { tick: begin, lane: null };
    [low, high] = [Math.max(low, begin), Math.min(high, begin + width - 1)];
  }
  return null;
}

function nearestTurn({ turns, faults }, low, high, forwards) {
  const marked = [...turns.filter(([, , marks]) => marks & MARKED), ...faults]
    .filter(([tick]) => tick >= low && tick <= high)
    .sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  const found = forwards ? marked[0] : marked.at(-1);
  return found ? { tick: found[0], lane: found[1] } : null;
}

function nearestColumn({ marks, kinds }, direction) {
  const columns = marks.filter((mark) => kinds[mark[2]] !== "notes").map((mark) => mark[1]);
  if (columns.length === 0) return null;
  return direction > 0 ? Math.min(...columns) : Math.max(...columns);
}
