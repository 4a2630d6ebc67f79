/** The only place that follows the stream of changes, and knows whether it is there. */

import { address, knock } from "./server.js";

const PATH = "api/kernels/watch?figures=2";

/** Figures come every 2 s, also without kernels: after so much silence nobody is there any more. */
const SILENCE = 15000;

/** A page that nobody sees lets go: a browser has six connections to a server for all its tabs. */
const UNSEEN = 10000;

const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 8000;

/**
 * @typedef {"connecting" | "live" | "lost" | "refused" | "paused"} Connection
 *
 * @typedef {object} Listeners
 * @property {(data: {revision: number, kernels: object[]}) => void} snapshot
 * @property {(kernel: object) => void} change
 * @property {(data: {id: string, revision: number}) => void} removed
 * @property {(figures: Object<string, object>) => void} figures
 * @property {(connection: Connection, why: import("./server.js").Refusal | null) => void} connection
 */

/** The stream, opened anew as often as it breaks. */
export class Stream {
  /** @param {Listeners} listeners */
  constructor(listeners) {
    this.listeners = listeners;
    this.source = null;
    this.pause = FIRST_PAUSE;
    this.timers = { again: 0, silence: 0, unseen: 0 };
    document.addEventListener("visibilitychange", () => this.seenOrNot());
    window.addEventListener("online", () => this.again());
  }

  /** Open it. */
  open() {
    this.close();
    this.source = new EventSource(address(PATH));
    this.source.addEventListener("open", () => this.heard());
    this.source.addEventListener("error", () => this.broken());
    for (const name of ["snapshot", "change", "removed", "figures"]) {
      this.source.addEventListener(name, (event) => this.came(name, event.data));
    }
    this.heard();
  }

  /** Open it now, whatever it waits for. */
  again() {
    if (this.source === null || this.source.readyState !== EventSource.OPEN) {
      this.pause = FIRST_PAUSE;
      this.open();
    }
  }

  /** Close it. */
  close() {
    this.source?.close();
    this.source = null;
    Object.values(this.timers).forEach(clearTimeout);
  }

  came(name, data) {
    this.heard();
    if (name === "snapshot") {
      this.pause = FIRST_PAUSE;
      this.listeners.connection("live", null);
    }
    this.listeners[name](JSON.parse(data));
  }

  heard() {
    clearTimeout(this.timers.silence);
    this.timers.silence = setTimeout(() => this.lost(), SILENCE);
  }

  /** EventSource never tells why an answer was no stream, and would then not come back. */
  broken() {
    const isRefused = this.source?.readyState === EventSource.CLOSED;
    if (isRefused) {
      this.close();
      knock(PATH).then(() => this.lost(), (why) => this.refused(why));
    } else {
      this.lost();
    }
  }

  refused(why) {
    if (why.code === 401 || why.code === 403) {
      this.listeners.connection("refused", why);
      return;
    }
    this.lost(why.code === 0 ? null : why, why.wait * 1000);
  }

  lost(why = null, wait = 0) {
    this.close();
    this.listeners.connection("lost", why);
    this.timers.again = setTimeout(() => this.open(), Math.max(wait, this.pause));
    this.pause = Math.min(this.pause * 2, LONGEST_PAUSE);
  }

  seenOrNot() {
    clearTimeout(this.timers.unseen);
    if (document.hidden) {
      this.timers.unseen = setTimeout(() => this.leave(), UNSEEN);
    } else if (this.source === null) {
      this.again();
    }
  }

  leave() {
    this.close();
    this.listeners.connection("paused", null);
  }
}
