/** The only place that asks which notebook a kernel works for. */

import { get } from "./server.js";

/** Kernels that come one after another are asked for together; ms. */
const PATIENCE = 300;

/** Asks for the sessions once, and again when somebody is met who is not known. */
export class Notebooks {
  /** @param {(paths: Map<string, string>) => void} told Called with paths by kernel id. */
  constructor(told) {
    this.told = told;
    this.met = new Map();
    this.timer = 0;
  }

  /**
   * Meet a kernel. Its session is written down only after its start, so it is asked for once more when
   * it is connected.
   * @param {import("./entry.js").Entry} entry
   */
  meet(entry) {
    const { id, status } = entry.kernel;
    const phase = status === "connected" ? 2 : 1;
    if (entry.path === "" && (this.met.get(id) ?? 0) < phase) {
      this.met.set(id, phase);
      this.timer ||= setTimeout(() => this.ask(), PATIENCE);
    }
  }

  /** @param {string} id A kernel that is gone. */
  forget(id) {
    this.met.delete(id);
  }

  async ask() {
    this.timer = 0;
    try {
      const sessions = await get("api/sessions");
      this.told(new Map(sessions.map((each) => [each.kernel?.id, each.path || each.name])));
    } catch {
      // Who may not read sessions sees kernels without notebooks; the stream tells of a lost server.
    }
  }
}
