/** The only place that shows one kernel as a row. */

import { make, setAttribute, setText } from "./dom.js";
import { bytes, clock, cut, percent } from "./format.js";
import { age, lasting } from "./time.js";
import { Sparkline } from "./trend.js";
import { word } from "./words.js";

/** Characters of a sentence that a row shows; all of it stands below, in the opened row. */
const SENTENCE = 240;
const LINE = 200;
const TITLE = 2000;

/** The least top of a drawing: a kernel that rests is a flat line, not a mountain of noise. */
const LEAST = { memory: 1e6, cpu: 100 };

/**
 * Each cell: its name, the label that it has as part of a card, its parts.
 * @type {[string, string, [string, string][]][]}
 */
const CELLS = [
  ["notebook", "Notebook", [["span", "folder"], ["span", "file"]]],
  ["state", "State", [["span", "word"], ["time", "since"], ["p", "reason"]]],
  ["runs", "Runs", [["code", "code"], ["span", "took"], ["span", "also"]]],
  ["queue", "Queue", [["span", "queue"]]],
  ["memory", "Memory", [["span", "memory"]]],
  ["cpu", "CPU", [["span", "cpu"]]],
  ["restarts", "Restarts", [["span", "restarts"]]],
  ["last", "Last end", [["span", "cause"], ["span", "when"], ["p", "sentence"]]],
];

let made = 0;

/** The row of a kernel, and the place below it where it opens. */
export class Row {
  /**
   * @param {import("./entry.js").Entry} entry
   * @param {(row: Row) => void} toggled Called when somebody wants to open or close it.
   */
  constructor(entry, toggled) {
    made += 1;
    this.entry = entry;
    this.isVisible = false;
    /** Where it stands in the table, by what it is sorted by. */
    this.place = "";
    /** @type {import("./detail.js").Detail | null} */
    this.detail = null;
    this.cells = {};
    this.parts = {};
    this.sparklines = {};
    this.room = make("td", { role: "cell", colspan: 9 });
    const below = { id: `below-${made}`, class: "below", role: "row", hidden: true };
    this.below = make("tr", below, this.room);
    this.opener = this.makeOpener(below.id);
    this.element = make("tbody", { role: "rowgroup", class: "kernel" }, this.makeLine(), this.below);
    this.opener.addEventListener("click", () => toggled(this));
    this.showStatus();
  }

  makeOpener(below) {
    const { id, name } = this.entry.kernel;
    const attributes = { type: "button", class: "opener", "aria-expanded": "false" };
    return make(
      "button",
      { ...attributes, "aria-controls": below, title: id },
      make("span", { class: "chevron", "aria-hidden": "true" }),
      make("span", { class: "name" }, name),
      " ",
      make("span", { class: "id" }, id.slice(0, 8)),
    );
  }

  makeLine() {
    const head = make("th", { role: "rowheader", scope: "row", class: "kernel-name" }, this.opener);
    const line = make("tr", { role: "row", class: "kernel-row" }, head);
    for (const [name, label, parts] of CELLS) {
      this.cells[name] = make("td", { role: "cell", class: name, "data-label": label });
      for (const [tag, part] of parts) {
        this.parts[part] = make(tag, { class: part });
        this.cells[name].append(this.parts[part], name === "notebook" ? make("wbr") : " ");
      }
      line.append(this.cells[name]);
    }
    return line;
  }

  say(part, text) {
    setText(this.parts[part], text);
  }

  /** Show what its status tells. */
  showStatus() {
    const { kernel, group } = this.entry;
    setAttribute(this.element, "data-word", word(kernel));
    setAttribute(this.element, "data-group", group);
    this.say("word", word(kernel));
    this.say("reason", cut(kernel.reason, SENTENCE));
    this.say("queue", String(kernel.queued?.length || ""));
    this.say("restarts", String(kernel.restart_count || ""));
    this.showPath();
    this.showLast();
    this.showRun();
    this.showClock();
  }

  /** Show its notebook. */
  showPath() {
    const { path } = this.entry;
    const name = path.lastIndexOf("/") + 1;
    setAttribute(this.cells.notebook, "title", path || null);
    this.say("folder", path.slice(0, name));
    this.say("file", path.slice(name));
  }

  /** Show what it runs, as far as that is known. */
  showRun() {
    const code = this.entry.run?.code?.trim() ?? "";
    setAttribute(this.cells.runs, "title", cut(code, TITLE) || null);
    this.say("code", cut(code.split("\n", 1)[0], LINE));
    this.say("also", also(this.entry.kernel).join(", "));
  }

  /** Show how its last process ended; a sentence that stands as its reason already is enough once. */
  showLast() {
    const { last_termination: last, reason } = this.entry.kernel;
    this.say("cause", last?.cause ?? "");
    setAttribute(this.parts.cause, "data-expected", last === null ? null : String(last.expected));
    this.say("sentence", last === null || last.reason === reason ? "" : cut(last.reason, SENTENCE));
  }

  /** Show figures; only of a row that somebody can see. */
  showFigures() {
    const { entry } = this;
    this.say("memory", bytes(entry.memorySize));
    this.say("cpu", percent(entry.figures?.cpu_percent));
    setAttribute(this.cells.memory, "title", memoryTitle(entry.figures));
    for (const name of ["memory", "cpu"]) {
      this.sparkline(name).show(entry[name], LEAST[name]);
    }
  }

  sparkline(name) {
    if (this.sparklines[name] === undefined) {
      this.sparklines[name] = new Sparkline();
      this.cells[name].append(this.sparklines[name].element);
    }
    return this.sparklines[name];
  }

  /** Show how long ago things were. */
  showClock() {
    const { kernel, run } = this.entry;
    const ended = kernel.last_termination?.finished_at;
    this.say("since", age(kernel.since));
    setAttribute(this.parts.since, "datetime", kernel.since);
    setAttribute(this.parts.since, "title", clock(kernel.since));
    this.say("took", lasting(run?.started_at));
    this.say("when", ended ? `${age(ended)} ago` : "");
  }

  /**
   * Open or close it.
   * @param {import("./detail.js").Detail | null} detail What is shown below; null closes it.
   */
  open(detail) {
    this.detail = detail;
    this.room.replaceChildren(...(detail === null ? [] : [detail.element]));
    setAttribute(this.below, "hidden", detail === null);
    setAttribute(this.opener, "aria-expanded", String(detail !== null));
  }
}

function also(kernel) {
  const more = (kernel.running?.length ?? 0) - 1;
  return [
    ...(kernel.waiting_for_input ? ["waits for input"] : []),
    ...(more > 0 ? [`and ${more} more`] : []),
  ];
}

function memoryTitle(figures) {
  if (figures?.memory_rss_bytes == null) return null;
  const lines = [`${bytes(figures.memory_rss_bytes)} of its own`];
  const children = figures.children;
  if (children?.count) {
    lines.push(`${bytes(children.memory_rss_bytes)} of processes that it started: ${children.count}`);
  }
  if (figures.memory_peak_bytes) lines.push(`${bytes(figures.memory_peak_bytes)} at most so far`);
  return lines.join("\n");
}
