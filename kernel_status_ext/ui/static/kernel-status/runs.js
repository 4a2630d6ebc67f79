/** The only place that asks what a kernel runs: once for each run that lasts and is looked at. */

import { about, get } from "./server.js";

/** Most runs are over sooner, and nobody could read their code; ms. */
const PATIENCE = 250;

/** Requests under way at a time: a browser has few connections to a server. */
const AT_ONCE = 2;

/** Those who wait for the code of what they run. */
export class Runs {
  /**
   * @param {(entry: import("./entry.js").Entry, run: object) => void} told
   * @param {(kernel: object) => void} changed Called with the kernel's status: what is queued behind a run
   *   makes no change of its own on the stream, and most of it comes right after the run.
   */
  constructor(told, changed) {
    this.told = told;
    this.changed = changed;
    this.waiting = new Map();
    this.asked = 0;
    this.unknown = new Set();
  }

  /**
   * Want the run that a kernel works on.
   * @param {import("./entry.js").Entry} entry
   */
  want(entry) {
    const id = entry.runId;
    if (id === null || entry.run !== null || this.waiting.has(id) || this.unknown.has(id)) return;
    this.waiting.set(id, entry);
    setTimeout(() => this.next(), PATIENCE);
  }

  /** Ask for those who wait, as many as may be asked for at a time. */
  next() {
    for (const [id, entry] of this.waiting) {
      if (this.asked >= AT_ONCE) return;
      this.waiting.delete(id);
      if (entry.runId === id && entry.run === null) this.ask(id, entry);
    }
  }

  async ask(id, entry) {
    this.asked += 1;
    try {
      const { run } = await get(`api/kernels/runs/${encodeURIComponent(id)}`);
      this.told(entry, run);
      this.changed(await get(about(entry.kernel.id, "/status")));
    } catch {
      // It is not recorded, or all is over: the row then says that something runs, and not what.
      if (entry.runId === id) this.unknown.add(id);
    } finally {
      this.asked -= 1;
      this.next();
    }
  }
}
