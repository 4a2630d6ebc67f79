/** The only place that shows what an opened row tells: the kernel's story, its ends, its runs. */

import { Actions } from "./actions.js";
import { make, setText } from "./dom.js";
import { clock } from "./format.js";
import { about, get } from "./server.js";
import { runs, terminations } from "./stories.js";
import { timeline } from "./timeline.js";

/** Changes that come one after another are asked for together; ms. */
const PATIENCE = 400;

let made = 0;

/** What stands below an opened row. */
export class Detail {
  /**
   * @param {import("./entry.js").Entry} entry
   * @param {(kernel: object) => void} told Called with the kernel's status when it is opened.
   */
  constructor(entry, told) {
    this.entry = entry;
    this.timer = 0;
    this.actions = new Actions(entry);
    this.facts = make("p", { class: "facts" });
    this.reason = make("p", { class: "whole-reason", tabindex: "0" });
    this.parts = {
      history: part("History"),
      terminations: part("Ends of its processes"),
      runs: part("Recent runs"),
    };
    const sections = Object.values(this.parts).map((each) => each.section);
    this.element = make("div", { class: "detail" }, this.actions.element, this.facts, this.reason, ...sections);
    this.showStatus();
    this.ask();
    // What is queued makes no change on the stream. A lost server is told elsewhere.
    get(about(entry.kernel.id, "/status")).then(told, () => {});
  }

  /** Its kernel has changed: show that, and ask for its story once more. */
  changed() {
    this.showStatus();
    this.timer ||= setTimeout(() => this.ask(), PATIENCE);
  }

  showStatus() {
    const { kernel } = this.entry;
    const facts = [
      `id ${kernel.id}`,
      kernel.pid === null ? "no process" : `process ${kernel.pid}`,
      kernel.started_at && `started ${clock(kernel.started_at)}`,
      `generation ${kernel.generation}`,
    ];
    setText(this.facts, facts.filter(Boolean).join(" · "));
    setText(this.reason, kernel.reason);
    this.reason.hidden = kernel.reason === "";
  }

  async ask() {
    this.timer = 0;
    const { id } = this.entry.kernel;
    await Promise.all([
      this.fill("history", about(id, "/history"), (body) => {
        this.show("terminations", terminations(body.terminations));
        return timeline(body.changes);
      }),
      this.fill("runs", about(id, "/runs?limit=20"), (body) => runs(body.runs)),
    ]);
  }

  async fill(name, path, write) {
    try {
      this.show(name, write(await get(path)));
    } catch (why) {
      this.show(name, make("p", { class: "refused" }, why.message));
    }
  }

  /** What somebody has unfolded stays so, and where they are stays theirs. */
  show(name, content) {
    const { room } = this.parts[name];
    const unfolded = [...room.querySelectorAll("details")].map((each) => each.open);
    const focused = focusedIn(room);
    const added = content.querySelectorAll("details").length - unfolded.length;
    room.replaceChildren(content);
    room.querySelectorAll("details").forEach((each, index) => {
      each.open = unfolded[index - added] ?? false;
    });
    room.querySelectorAll("summary, pre")[focused + 2 * added]?.focus({ preventScroll: true });
  }
}

/** The place of the focused element among those that can have it, -1 for none. */
function focusedIn(room) {
  const index = [...room.querySelectorAll("summary, pre")].indexOf(document.activeElement);
  return index < 0 ? Number.NaN : index;
}

function part(title) {
  made += 1;
  const room = make("div", { class: "room" }, make("p", { class: "nothing" }, "Asking the server …"));
  const heading = make("h2", { id: `part-${made}` }, title);
  return { room, section: make("section", { "aria-labelledby": `part-${made}` }, heading, room) };
}
