/**
 * The only place that remembers what the server said of its kernels.
 */

import { Signal } from '@lumino/signaling';

/**
 * @typedef {object} Termination - The end of a process, as the REST reference has it.
 * @property {number} generation
 * @property {string} reason
 * @property {string} hint
 * @property {boolean} expected
 * @property {?string} run_id
 * @property {?string} started_at
 * @property {string} finished_at
 * @property {?number} peak_memory
 * @property {?string} traceback
 */

/**
 * @typedef {object} Status - A kernel, as the REST reference has it.
 * @property {string} id
 * @property {string} name
 * @property {string} state
 * @property {string} status
 * @property {string} reason
 * @property {number} generation
 * @property {?number} pid
 * @property {string} since
 * @property {number} restart_count
 * @property {?Termination} last_termination
 */

/** All kernels of the server, as they are now. */
export class KernelStates {
  /** Emitted after every piece of news. */
  changed = new Signal(this);

  /** Emitted with the status of a kernel whose process has ended though nobody asked for it. */
  died = new Signal(this);

  #statuses = new Map();
  #figures = new Map();
  #hasBegun = false;
  #isLive = false;

  /** Whether this is what is; else it is what was when the server was last heard. */
  get isLive() {
    return this.#isLive;
  }

  /** Whether the server has ever told anything. */
  get hasBegun() {
    return this.#hasBegun;
  }

  /** @returns {Status[]} All kernels. */
  all() {
    return [...this.#statuses.values()];
  }

  /**
   * @param {?string} id - A kernel.
   * @returns {Status | undefined} It, if the server knows it.
   */
  get(id) {
    return this.#statuses.get(id);
  }

  /**
   * @param {string} id - A kernel.
   * @returns {object | undefined} The latest figures of its process, if it has one.
   */
  figures(id) {
    const figures = this.#figures.get(id);
    return figures?.pid === this.#statuses.get(id)?.pid ? figures : undefined;
  }

  /** Take it that the server is not heard any more. */
  lost() {
    this.#isLive = false;
    this.changed.emit();
  }

  /**
   * Take an event of the stream; kinds that are not known yet do no harm.
   *
   * @param {string} event - Its kind.
   * @param {object} data - What it tells.
   */
  tell(event, data) {
    const died = this.#taken(event, data);
    this.changed.emit();
    died.forEach(status => this.died.emit(status));
  }

  #taken(event, data) {
    switch (event) {
      case 'snapshot':
        return this.#takeAll(data.kernels);
      case 'change':
        return this.#take(data) ? [data] : [];
      case 'removed':
        this.#statuses.delete(data.id);
        this.#figures.delete(data.id);
        return [];
      case 'figures':
        this.#figures = new Map(Object.entries(data));
    }
    return [];
  }

  #takeAll(kernels) {
    const hadBegun = this.#hasBegun;
    this.#hasBegun = this.#isLive = true;
    const died = kernels.filter(status => this.#take(status));
    const ids = new Set(kernels.map(status => status.id));
    [...this.#statuses.keys()].filter(id => !ids.has(id)).forEach(id => this.#statuses.delete(id));
    return hadBegun ? died : []; // the first snapshot tells old stories
  }

  /** Remember a status and tell whether its process has died since the last look. */
  #take(status) {
    const before = this.#statuses.get(status.id)?.last_termination;
    const end = status.last_termination;
    this.#statuses.set(status.id, status);
    return Boolean(end && !end.expected && end.generation !== before?.generation);
  }
}
