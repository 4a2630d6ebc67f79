/**
 * The only place that talks to the stream of changes: one for the whole tab, read while the tab is seen.
 *
 * Browsers keep six connections to a server for all their tabs together, and a stream holds one:
 * a tab that nobody sees must not hold it. What happened meanwhile the next snapshot tells.
 */

import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';

import { EventReader } from './sse.js';

/** Milliseconds before the first new attempt; each one that fails doubles them. */
const RETRY_AFTER = 1000;

/** And at most. */
const RETRY_AT_MOST = 30_000;

/** Milliseconds of silence after which a stream is taken for lost: a comment comes every 15 s. */
const SILENT_AT_MOST = 45_000;

/**
 * @typedef {object} Listener
 * @property {(event: string, data: object) => void} tell - Takes an event.
 * @property {() => void} lost - Hears that the stream ended; it is opened again by itself.
 */

/** The stream of changes of all kernels. */
export class Stream {
  #settings;
  #listener;
  #figures;
  #abort = null;
  #isRefused = false;
  #seen = () => this.#adapt();

  /**
   * Begin closed.
   *
   * @param {ServerConnection.ISettings} settings - How to reach the server.
   * @param {Listener} listener - Who is told.
   */
  constructor(settings, listener) {
    this.#settings = settings;
    this.#listener = listener;
  }

  /**
   * Open the stream, now and whenever the tab is seen again.
   *
   * @param {number} figures - Seconds between two looks at the processes; 0 for none.
   */
  open(figures) {
    if (this.#isRefused || (this.#abort && figures === this.#figures)) {
      return;
    }
    this.#figures = figures;
    this.#close();
    document.addEventListener('visibilitychange', this.#seen);
    this.#adapt();
  }

  #adapt() {
    if (document.hidden) {
      this.#close();
    } else if (!this.#abort) {
      this.#abort = new AbortController();
      void this.#keepReading(this.#abort.signal);
    }
  }

  #close() {
    this.#abort?.abort();
    this.#abort = null;
  }

  /** The server does not want this reader: it is not told so twice, and nobody is bothered. */
  #giveUp() {
    this.#isRefused = true;
    document.removeEventListener('visibilitychange', this.#seen);
    this.#close();
    this.#listener.lost();
  }

  async #keepReading(signal) {
    let wait = RETRY_AFTER;
    while (!signal.aborted) {
      const response = await this.#ask(signal);
      if (response?.ok) {
        wait = RETRY_AFTER;
        await this.#read(response.body.getReader(), signal);
      } else if (response && response.status < 500 && !signal.aborted) {
        return this.#giveUp();
      }
      if (!signal.aborted) {
        this.#listener.lost();
        await pause(wait * (1 + Math.random() / 4), signal);
        wait = Math.min(2 * wait, RETRY_AT_MOST);
      }
    }
  }

  async #ask(signal) {
    const figures = this.#figures > 0 ? `?figures=${this.#figures}` : '';
    const url = URLExt.join(this.#settings.baseUrl, 'api/kernels/watch') + figures;
    const headers = { Accept: 'text/event-stream' };
    try {
      return await ServerConnection.makeRequest(url, { headers, signal }, this.#settings);
    } catch (error) {
      if (error instanceof ServerConnection.NetworkError) {
        return null; // no server, or nobody looks any more
      }
      throw error;
    }
  }

  async #read(body, signal) {
    const reader = new EventReader();
    const decoder = new TextDecoder();
    const watchdog = new Watchdog(SILENT_AT_MOST, () => void body.cancel());
    try {
      for (;;) {
        const { value, done } = await body.read();
        if (done || signal.aborted) {
          return;
        }
        watchdog.feed();
        for (const { event, data } of reader.read(decoder.decode(value, { stream: true }))) {
          this.#listener.tell(event, JSON.parse(data));
        }
      }
    } catch (error) {
      if (!signal.aborted && !(error instanceof TypeError)) {
        throw error; // a broken connection is a TypeError
      }
    } finally {
      watchdog.stop();
    }
  }
}

/** Barks when nobody feeds it for a while. */
class Watchdog {
  #after;
  #bark;
  #timer = 0;

  constructor(after, bark) {
    this.#after = after;
    this.#bark = bark;
    this.feed();
  }

  feed() {
    this.stop();
    this.#timer = setTimeout(this.#bark, this.#after);
  }

  stop() {
    clearTimeout(this.#timer);
  }
}

/** Wait for some milliseconds, or until nobody waits any more. */
function pause(milliseconds, signal) {
  return new Promise(resolve => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
