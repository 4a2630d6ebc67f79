/** The only place that remembers the figures of the last minutes and draws them. */

import { draw, setAttribute } from "./dom.js";

/** Three minutes of figures that come every two seconds. */
const LENGTH = 90;
const WIDTH = 90;
const HEIGHT = 20;

/** What stays the same is a line below the top. */
const HEADROOM = 1.25;

/** Fewer figures than these do not fill the drawing. */
const FEW = 9;

/** Some minutes of one figure. */
export class Trend {
  constructor() {
    this.values = new Float64Array(LENGTH);
    this.count = 0;
  }

  /** @param {number} value The newest. */
  push(value) {
    if (this.count === LENGTH) {
      this.values.copyWithin(0, 1);
      this.count -= 1;
    }
    this.values[this.count] = value;
    this.count += 1;
  }

  /** Begin anew: another process. */
  clear() {
    this.count = 0;
  }

  /**
   * @param {number} least The top of the drawing is at least so much.
   * @returns {string} The newest at the right edge; "" for less than two.
   */
  points(least) {
    if (this.count < 2) return "";
    const seen = this.values.subarray(0, this.count);
    const top = Math.max(least, ...seen) * HEADROOM;
    const height = (value) => (HEIGHT - (value / top) * (HEIGHT - 2) - 1).toFixed(1);
    const step = WIDTH / Math.max(this.count - 1, FEW);
    const begin = this.begin;
    const point = (value, index) => `${(begin + index * step).toFixed(1)},${height(value)}`;
    return Array.from(seen, point).join(" ");
  }

  /** @returns {number} Where the drawing begins, from the left. */
  get begin() {
    return WIDTH - ((this.count - 1) * WIDTH) / Math.max(this.count - 1, FEW);
  }
}

/** The drawing of a trend; people who do not see it have the number beside it. */
export class Sparkline {
  constructor() {
    this.line = draw("polyline", { class: "line" });
    this.area = draw("polygon", { class: "area" });
    const view = `0 0 ${WIDTH} ${HEIGHT}`;
    const frame = { class: "trend", viewBox: view, "aria-hidden": "true", preserveAspectRatio: "none" };
    this.element = draw("svg", frame, this.area, this.line);
  }

  /**
   * @param {Trend} trend
   * @param {number} least The top of the drawing is at least so much.
   */
  show(trend, least) {
    const points = trend.points(least);
    setAttribute(this.line, "points", points);
    setAttribute(this.area, "points", points && `${trend.begin},${HEIGHT} ${points} ${WIDTH},${HEIGHT}`);
  }
}
