/**
 * The only place that knows what people may choose.
 */

import { Signal } from '@lumino/signaling';

/** The plugin whose schema has them. */
export const PLUGIN = 'kernel-status-ext:plugin';

/** What people have chosen; the schema has the same defaults. */
export class Settings {
  /** Emitted when they chose something else. */
  changed = new Signal(this);

  statusBar = true;
  notifications = true;
  figuresInterval = 5;

  /**
   * Read the choices, now and whenever they change.
   *
   * @param {?import('@jupyterlab/settingregistry').ISettingRegistry} registry - Where they are kept.
   * @returns {Promise<void>} Done when they are read.
   */
  async follow(registry) {
    if (!registry) {
      return;
    }
    const kept = await registry.load(PLUGIN);
    kept.changed.connect(() => this.#take(kept.composite));
    this.#take(kept.composite);
  }

  #take({ statusBar, notifications, figuresInterval }) {
    Object.assign(this, { statusBar, notifications, figuresInterval });
    this.changed.emit();
  }
}
