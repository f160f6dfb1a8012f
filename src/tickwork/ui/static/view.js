// The timeline's geometry: which ticks and agents are in sight, and where. Ticks are columns, agents rows.

export const GUTTER = 148;
export const RULER = 26;
const LANE_MIN = 1;
const LANE_MAX = 44;
const TICK_PX_MAX = 160;

const clamp = (value, low, high) => Math.max(low, Math.min(high, value));

export class View {
  width = 800;
  height = 400;
  first = 0;
  end = 1;
  agents = 0;
  from = 0;
  to = 1;
  scroll = 0;
  lane = 26;

  /** The run's bounds: its ticks from `first` to before `end`, and its number of agents. */
  bound(first, end, agents) {
    const all = this.from <= this.first && this.to >= this.end;
    [this.first, this.end, this.agents] = [first, Math.max(end, first + 1), agents];
    if (all) this.showAll();
    this.settle();
  }

  showAll() {
    [this.from, this.to] = [this.first, this.end];
    this.settle();
  }

  /** Bring everything back within bounds. */
  settle() {
    const plot = Math.max(this.width - GUTTER, 50);
    const shortest = plot / TICK_PX_MAX;
    const longest = Math.max(this.end - this.first, shortest);
    const span = clamp(this.to - this.from, shortest, longest);
    this.from = clamp(this.from, this.first, Math.max(this.end - span, this.first));
    this.to = this.from + span;
    this.lane = clamp(this.lane, LANE_MIN, LANE_MAX);
    this.scroll = clamp(this.scroll, 0, Math.max(this.agents * this.lane - (this.height - RULER), 0));
  }

  get tickPx() {
    return (this.width - GUTTER) / (this.to - this.from);
  }
  x(tick) {
    return GUTTER + (tick - this.from) * this.tickPx;
  }
  middle(tick) {
    return this.x(tick + 0.5);
  }
  tickAt(x) {
    return clamp(Math.floor(this.from + (x - GUTTER) / this.tickPx), this.first, this.end - 1);
  }
  y(lane) {
    return RULER + lane * this.lane - this.scroll;
  }
  laneAt(y) {
    return Math.floor((y - RULER + this.scroll) / this.lane);
  }

  get lanes() {
    const first = clamp(Math.floor(this.scroll / this.lane), 0, Math.max(this.agents - 1, 0));
    return {
      first,
      count: clamp(Math.ceil((this.height - RULER) / this.lane) + 1, 1, Math.max(this.agents - first, 1)),
    };
  }

  zoom(factor, x) {
    const at = this.from + (x - GUTTER) / this.tickPx;
    const left = (at - this.from) * factor;
    const span = (this.to - this.from) * factor;
    [this.from, this.to] = [at - left, at - left + span];
    this.settle();
  }

  zoomLanes(factor, y) {
    const at = (y - RULER + this.scroll) / this.lane;
    this.lane = clamp(this.lane * factor, LANE_MIN, LANE_MAX);
    this.scroll = at * this.lane - (y - RULER);
    this.settle();
  }

  fitLanes() {
    this.lane = clamp((this.height - RULER) / Math.max(this.agents, 1), LANE_MIN, 26);
    this.scroll = 0;
    this.settle();
  }

  move(dx, dy) {
    const ticks = dx / this.tickPx;
    this.from -= ticks;
    this.to -= ticks;
    this.scroll -= dy;
    this.settle();
  }

  /** Show a span of ticks around one. */
  centre(tick, span = this.to - this.from) {
    this.from = tick + 0.5 - span / 2;
    this.to = this.from + span;
    this.settle();
  }

  /** Move as little as it takes for a tick, and an agent if there is one, to be in sight. */
  reveal(tick, lane = null) {
    const span = this.to - this.from;
    const margin = Math.min(span * 0.1, 8);
    if (tick < this.from + margin) this.from = tick - margin;
    else if (tick + 1 > this.to - margin) this.from = tick + 1 + margin - span;
    this.to = this.from + span;
    if (lane !== null) {
      const y = this.y(lane);
      if (y < RULER) this.scroll -= RULER - y;
      else if (y + this.lane > this.height) this.scroll += y + this.lane - this.height;
    }
    this.settle();
  }
}
