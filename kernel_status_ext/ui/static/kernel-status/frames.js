/** The only place that spreads work over frames, so that the page answers however much changes. */

/** Milliseconds of work in one frame. */
const BUDGET = 6;

/** Work that waits for the next frame: for each key only the newest. */
export class Frames {
  /** @param {() => void} rested Called when nothing waits any more. */
  constructor(rested) {
    this.rested = rested;
    this.waiting = new Map();
    this.isAsked = false;
  }

  /**
   * Do something in one of the next frames, in order of the first call with this key.
   * @param {string} key
   * @param {() => void} work
   */
  add(key, work) {
    this.waiting.set(key, work);
    if (!this.isAsked) {
      this.isAsked = true;
      requestAnimationFrame(() => this.turn());
    }
  }

  /**
   * The same, but what waits already under this key is newer.
   * @param {string} key
   * @param {() => void} work
   */
  addUnless(key, work) {
    if (!this.waiting.has(key)) this.add(key, work);
  }

  turn() {
    const end = performance.now() + BUDGET;
    for (const [key, work] of this.waiting) {
      this.waiting.delete(key);
      work();
      if (performance.now() > end) break;
    }
    this.isAsked = this.waiting.size > 0;
    if (this.isAsked) {
      requestAnimationFrame(() => this.turn());
    } else {
      this.rested();
    }
  }
}
