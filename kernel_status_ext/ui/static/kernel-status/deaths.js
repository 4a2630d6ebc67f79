/** The only place that tells people who cannot see it that a kernel has died. */

import { make } from "./dom.js";
import { cut } from "./format.js";
import { lastDeath } from "./words.js";

const KEPT = 20;
const SENTENCE = 300;

/** The log of deaths, read aloud by screen readers as it grows. */
export class Deaths {
  /** @param {HTMLElement} log */
  constructor(log) {
    this.log = log;
  }

  /**
   * Compare what was known of a kernel with what is known now.
   * @param {import("./entry.js").Entry} entry As it was.
   * @param {object} kernel As it is.
   * @returns {boolean} Whether it has died meanwhile.
   */
  noticed(entry, kernel) {
    const last = lastDeath(kernel);
    const known = entry.kernel.last_termination;
    if (last === null || known?.generation === last.generation) return false;
    const name = entry.path || `${kernel.name} ${kernel.id.slice(0, 8)}`;
    this.log.append(make("p", {}, `${name} died: ${cut(last.reason, SENTENCE)}`));
    while (this.log.childElementCount > KEPT) this.log.firstElementChild.remove();
    return true;
  }
}
