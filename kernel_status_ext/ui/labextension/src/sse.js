/**
 * The only place that reads Server-Sent Events: pieces of text become events.
 */

/** @typedef {{event: string, data: string}} ServerEvent */

/** Makes events of a stream that comes in pieces of any size. */
export class EventReader {
  #rest = '';
  #event = '';
  #data = [];

  /**
   * Read a piece of the stream.
   *
   * @param {string} text - What has come since the last piece.
   * @returns {ServerEvent[]} The events that are complete now.
   */
  read(text) {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop();
    return lines.map(line => this.#take(line)).filter(Boolean);
  }

  /** Take a line; the empty one ends an event, other fields than these two do not matter here. */
  #take(line) {
    if (line === '') {
      return this.#complete();
    }
    const [, field, value] = /^([^:]*):? ?(.*)$/.exec(line);
    if (field === 'event') {
      this.#event = value;
    } else if (field === 'data') {
      this.#data.push(value);
    }
    return null;
  }

  #complete() {
    const found = this.#data.length ? { event: this.#event, data: this.#data.join('\n') } : null;
    this.#event = '';
    this.#data = [];
    return found;
  }
}
