/**
 * The only place that puts the current notebook's kernel into the status bar.
 */

import { showPopup } from '@jupyterlab/statusbar';
import { Signal } from '@lumino/signaling';
import { Widget } from '@lumino/widgets';

import { Details } from './details.js';
import { element } from './dom.js';
import { size, word } from './words.js';

/** What the status bar says of one kernel; a click shows all that is known. */
export class StatusItem extends Widget {
  /** Emitted when the item is to be shown or hidden. */
  activeChanged = new Signal(this);

  #states;
  #current;
  #settings;
  #page;
  #popup = null;
  #shown = '';
  #isActive = false;
  #text = element('span', { className: 'jp-KernelStatus-text' });
  #button = element('button', { type: 'button' }, this.#text);

  /**
   * Follow the current notebook's kernel.
   *
   * @param {import('./states.js').KernelStates} states - What is known.
   * @param {import('./current.js').Current} current - Which kernel.
   * @param {import('./settings.js').Settings} settings - Whether it is wanted.
   * @param {string} page - The address of the page about all kernels.
   */
  constructor(states, current, settings, page) {
    super();
    this.#states = states;
    this.#current = current;
    this.#settings = settings;
    this.#page = page;
    this.addClass('jp-KernelStatus-item');
    this.node.append(this.#button);
    this.#button.setAttribute('aria-haspopup', 'dialog');
    this.#button.addEventListener('click', () => this.#toggle());
    for (const source of [states, current, settings]) {
      source.changed.connect(this.#show, this);
    }
  }

  /** Whether there is something to show, and it is wanted. */
  get isActive() {
    return this.#isActive;
  }

  get #status() {
    return this.#states.get(this.#current.kernelId);
  }

  #show() {
    const status = this.#status;
    if (status) {
      this.#write(status, this.#states.isLive);
    }
    const isActive = Boolean(status) && this.#settings.statusBar;
    if (!isActive || this.#shown !== status.id) {
      this.#popup?.dispose();
    }
    if (isActive !== this.#isActive) {
      this.#isActive = isActive;
      this.activeChanged.emit();
    }
  }

  #write(status, isLive) {
    const memory = size(this.#states.figures(status.id)?.memory_rss_bytes);
    const rest = status.reason ? `: ${status.reason}` : memory && ` · ${memory}`;
    const text = isLive ? `Kernel ${word(status)}${rest}` : 'Kernel not heard';
    const title = isLive ? status.reason || text : 'The server does not answer; trying again';
    this.node.dataset.status = isLive ? status.status : 'unknown';
    this.node.dataset.state = isLive ? status.state : '';
    if (this.#text.textContent !== text) {
      this.#text.textContent = text;
    }
    this.#button.title = title;
  }

  #toggle() {
    if (this.#popup && !this.#popup.isDisposed) {
      return this.#popup.dispose();
    }
    this.#shown = this.#status.id;
    const body = new Details(this.#states, this.#shown, this.#page);
    this.#popup = showPopup({ body, anchor: this, align: 'left', hasDynamicSize: true });
    body.node.setAttribute('role', 'dialog');
    body.node.setAttribute('aria-label', 'Kernel status');
    body.disposed.connect(() => this.#button.focus());
    body.node.focus();
  }
}
