/** The only place that holds what is known of one kernel. */

import { Trend } from "./trend.js";
import { group, place } from "./words.js";

/** One kernel: its status, figures, notebook, and what it runs. */
export class Entry {
  /** @param {object} kernel Its first status. */
  constructor(kernel) {
    this.kernel = kernel;
    this.path = "";
    this.figures = null;
    /** The run that it works on, once the server has told it. */
    this.run = null;
    this.memory = new Trend();
    this.cpu = new Trend();
    this.sort();
  }

  /** @returns {string | null} The run that it works on. */
  get runId() {
    return this.kernel.running?.[0] ?? null;
  }

  /** @returns {number | null} Memory of its process and of those that it started, in bytes. */
  get memorySize() {
    if (this.figures === null || this.figures.memory_rss_bytes == null) return null;
    return this.figures.memory_rss_bytes + (this.figures.children?.memory_rss_bytes ?? 0);
  }

  /**
   * Take its newest status.
   * @param {object} kernel
   */
  take(kernel) {
    if (kernel.generation !== this.kernel.generation) {
      this.figures = null;
      this.forgetFigures();
    }
    this.kernel = kernel;
    if (this.run !== null && this.run.run_id !== this.runId) this.run = null;
    this.sort();
  }

  /**
   * Take what it runs, which also tells its notebook.
   * @param {object} run
   */
  takeRun(run) {
    if (run.run_id === this.runId) this.run = run;
    if (run.path) this.path = run.path;
    this.sort();
  }

  /**
   * Take figures of its process.
   * @param {object} figures
   */
  takeFigures(figures) {
    this.figures = figures.alive === true ? figures : null;
    if (this.figures === null) this.forgetFigures();
    if (this.memorySize !== null) this.memory.push(this.memorySize);
    if (this.figures?.cpu_percent != null) this.cpu.push(this.figures.cpu_percent);
  }

  forgetFigures() {
    this.memory.clear();
    this.cpu.clear();
  }

  /** Find its group and place. */
  sort() {
    this.group = group(this.kernel);
    this.place = place(this);
  }

  /**
   * @param {string} text In small letters.
   * @returns {boolean} Whether somebody who looks for that means this kernel.
   */
  matches(text) {
    return [this.kernel.name, this.kernel.id, this.path].some((each) =>
      each.toLowerCase().includes(text),
    );
  }
}
