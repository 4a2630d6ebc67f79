/**
 * The only place that knows whose kernel the notebook in front has.
 */

import { Signal } from '@lumino/signaling';

/** The notebook in front and its kernel. */
export class Current {
  /** Emitted when another kernel, or none, is in front. */
  changed = new Signal(this);

  #shell;
  #notebooks;
  #context = null;

  /**
   * Follow what is in front.
   *
   * @param {import('@jupyterlab/application').JupyterFrontEnd.IShell} shell - Where widgets are.
   * @param {import('@jupyterlab/notebook').INotebookTracker} notebooks - All open notebooks.
   */
  constructor(shell, notebooks) {
    this.#shell = shell;
    this.#notebooks = notebooks;
    shell.currentChanged?.connect(() => this.#look());
    notebooks.currentChanged.connect(() => this.#look());
    this.#look();
  }

  /** @returns {?string} The kernel of the notebook in front; null if there is none. */
  get kernelId() {
    return this.#context?.session?.kernel?.id ?? null;
  }

  #look() {
    const notebook = this.#notebooks.currentWidget;
    const isInFront = notebook && notebook === this.#shell.currentWidget;
    const context = isInFront ? notebook.sessionContext : null;
    if (context !== this.#context) {
      this.#context?.kernelChanged.disconnect(this.#tell, this);
      context?.kernelChanged.connect(this.#tell, this);
      this.#context = context;
      this.#tell();
    }
  }

  #tell() {
    this.changed.emit();
  }
}
