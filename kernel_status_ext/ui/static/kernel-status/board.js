/** The only place where news of kernels becomes rows. */

import { Deaths } from "./deaths.js";
import { Detail } from "./detail.js";
import { find } from "./dom.js";
import { Entry } from "./entry.js";
import { Frames } from "./frames.js";
import { Notebooks } from "./notebooks.js";
import { Row } from "./row.js";
import { Runs } from "./runs.js";
import { Table } from "./table.js";

/** All kernels that are known, and their rows. */
export class Board {
  /** @param {() => void} rested Called when everything that came is shown. */
  constructor(rested) {
    /** @type {Map<string, Row>} */
    this.rows = new Map();
    /** The kernels that are known, also those whose rows are still to be made. */
    this.ids = new Set();
    /** The newest figures, for rows that are still to be made. */
    this.newest = {};
    this.frames = new Frames(rested);
    this.deaths = new Deaths(find(".deaths"));
    this.table = new Table(find("table.kernels"), (row) => this.seen(row));
    this.notebooks = new Notebooks((paths) => this.takePaths(paths));
    this.runs = new Runs((entry, run) => this.takeRun(entry, run), (kernel) => this.told(kernel));
    setInterval(() => this.table.visible.forEach((row) => row.showClock()), 1000);
  }

  /**
   * Take all kernels: those that are not among them are gone.
   * @param {{kernels: object[]}} snapshot
   */
  snapshot({ kernels }) {
    const present = new Set(kernels.map((each) => each.id));
    for (const id of this.ids) {
      if (!present.has(id)) this.removed({ id });
    }
    kernels.forEach((each) => this.change(each));
    this.frames.add("", () => {});
  }

  /**
   * Take a kernel's newest status.
   * @param {object} kernel
   */
  change(kernel) {
    this.ids.add(kernel.id);
    this.frames.add(kernel.id, () => this.show(kernel));
  }

  /**
   * Take a status that was asked for, unless the stream has told a newer one meanwhile.
   * @param {object} kernel
   */
  told(kernel) {
    const known = this.rows.get(kernel.id)?.entry.kernel;
    if (known !== undefined && known.revision <= kernel.revision && this.ids.has(kernel.id)) {
      this.frames.addUnless(kernel.id, () => this.show(kernel));
    }
  }

  /**
   * Let a kernel go.
   * @param {{id: string}} kernel
   */
  removed({ id }) {
    this.ids.delete(id);
    this.frames.add(id, () => this.remove(id));
  }

  /**
   * Take figures; they are drawn only where somebody looks.
   * @param {Object<string, object>} figures By kernel id.
   */
  figures(figures) {
    this.newest = figures;
    for (const [id, each] of Object.entries(figures)) {
      const row = this.rows.get(id);
      if (row === undefined) continue;
      row.entry.takeFigures(each);
      if (row.isVisible) this.frames.add(`figures ${id}`, () => row.showFigures());
    }
  }

  show(kernel) {
    const row = this.rows.get(kernel.id) ?? this.meet(kernel);
    const hasDied = this.deaths.noticed(row.entry, kernel);
    row.entry.take(kernel);
    row.showStatus();
    row.detail?.changed();
    this.table.settle(row);
    this.notebooks.meet(row.entry);
    if (hasDied) this.flash(row);
    if (row.isVisible) this.runs.want(row.entry);
  }

  meet(kernel) {
    const entry = new Entry(kernel);
    if (kernel.id in this.newest) entry.takeFigures(this.newest[kernel.id]);
    const row = new Row(entry, (each) => this.toggle(each));
    this.rows.set(kernel.id, row);
    this.table.add(row);
    return row;
  }

  remove(id) {
    const row = this.rows.get(id);
    if (row === undefined) return;
    this.rows.delete(id);
    this.notebooks.forget(id);
    clearTimeout(row.detail?.timer);
    this.table.remove(row);
  }

  /** Draw the eye to it for a moment. */
  flash(row) {
    row.element.classList.remove("died");
    row.element.addEventListener("animationend", () => row.element.classList.remove("died"), { once: true });
    row.element.classList.add("died");
  }

  seen(row) {
    row.showClock();
    row.showFigures();
    this.runs.want(row.entry);
  }

  toggle(row) {
    // It may have been renamed since somebody asked last.
    if (row.detail === null) this.notebooks.ask();
    row.open(row.detail === null ? new Detail(row.entry, (kernel) => this.told(kernel)) : null);
  }

  takePaths(paths) {
    for (const [id, path] of paths) {
      const row = this.rows.get(id);
      if (row === undefined || row.entry.path === path) continue;
      this.frames.add(`path ${id}`, () => {
        row.entry.path = path;
        row.entry.sort();
        this.shown(row);
      });
    }
  }

  takeRun(entry, run) {
    const row = this.rows.get(entry.kernel.id);
    if (row === undefined) return;
    entry.takeRun(run);
    row.showRun();
    row.showClock();
    this.shown(row);
  }

  shown(row) {
    row.showPath();
    if (this.rows.get(row.entry.kernel.id) === row) this.table.settle(row);
  }
}
