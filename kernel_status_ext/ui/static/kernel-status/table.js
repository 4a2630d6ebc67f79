/** The only place that knows which row stands where, and which rows somebody sees. */

import { find, setAttribute } from "./dom.js";

/** Rows are ready before they are scrolled to. */
const MARGIN = "300px";

/** The rows of the table, in order. */
export class Table {
  /**
   * @param {HTMLElement} element
   * @param {(row: import("./row.js").Row) => void} seen Called when a row comes into sight.
   */
  constructor(element, seen) {
    this.element = element;
    this.seen = seen;
    /** @type {import("./row.js").Row[]} No two have the same place: their ids are part of it. */
    this.order = [];
    this.rows = new Map();
    this.search = "";
    this.observer = new IntersectionObserver((changes) => this.sighted(changes), { rootMargin: MARGIN });
  }

  sighted(changes) {
    for (const { target, isIntersecting } of changes) {
      const row = this.rows.get(target);
      if (row === undefined) continue;
      row.isVisible = isIntersecting;
      if (isIntersecting) this.seen(row);
    }
  }

  /** @returns {import("./row.js").Row[]} The rows that somebody sees, or will when they scroll. */
  get visible() {
    return this.order.filter((row) => row.isVisible);
  }

  /**
   * Take a new row in.
   * @param {import("./row.js").Row} row
   */
  add(row) {
    this.rows.set(row.element, row);
    this.insert(row);
    this.observer.observe(row.element);
    this.sift(row);
  }

  /**
   * Put a row where it belongs by now; whoever works in it does not lose their place.
   * @param {import("./row.js").Row} row
   */
  settle(row) {
    this.sift(row);
    if (row.place === row.entry.place) return;
    const active = /** @type {HTMLElement} */ (document.activeElement);
    const focused = row.element.contains(active) ? active : null;
    this.order.splice(this.index(row.place), 1);
    this.insert(row);
    focused?.focus({ preventScroll: true });
  }

  /**
   * Take a row out. Whoever worked in it goes on with the next one.
   * @param {import("./row.js").Row} row
   */
  remove(row) {
    const index = this.index(row.place);
    const hadFocus = row.element.contains(document.activeElement);
    this.order.splice(index, 1);
    this.rows.delete(row.element);
    this.observer.unobserve(row.element);
    row.element.remove();
    if (hadFocus) {
      const next = this.order[index] ?? this.order[index - 1];
      (next?.opener ?? find("h1")).focus();
    }
  }

  insert(row) {
    row.place = row.entry.place;
    const index = this.index(row.place);
    const next = this.order[index]?.element ?? null;
    this.order.splice(index, 0, row);
    this.element.insertBefore(row.element, next);
  }

  index(place) {
    let [low, high] = [0, this.order.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.order[middle].place < place) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /**
   * Show only the rows of a group.
   * @param {string} group "all" for all.
   */
  filter(group) {
    setAttribute(this.element, "data-filter", group);
  }

  /**
   * Show only the rows that somebody looks for.
   * @param {string} text
   */
  look(text) {
    this.search = text.trim().toLowerCase();
    this.order.forEach((row) => this.sift(row));
  }

  sift(row) {
    setAttribute(row.element, "hidden", this.search !== "" && !row.entry.matches(this.search));
  }

  /** @returns {Object<string, number>} How many rows of each group are there, and how many are shown. */
  count() {
    const counts = { all: 0, attention: 0, running: 0, idle: 0, other: 0, shown: 0 };
    const filter = this.element.dataset.filter;
    for (const row of this.order) {
      counts.all += 1;
      counts[row.entry.group] += 1;
      const isShown = filter === "all" || filter === row.entry.group;
      if (isShown && !row.element.hidden) counts.shown += 1;
    }
    return counts;
  }
}
