/**
 * The only place that notifies people of a death that nobody asked for.
 */

import { Dialog, Notification, showErrorMessage } from '@jupyterlab/apputils';
import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';

import { sentence } from './deaths.js';
import { Details } from './details.js';
import { getRun, openSession, sessionOf } from './server.js';

/** Notifies of kernels that a notebook or console uses; of others those are told who run them. */
export class Notifier {
  #states;
  #app;
  #notebooks;
  #page;
  #shown = new Map();

  /**
   * Notify from now on.
   *
   * @param {import('./states.js').KernelStates} states - What is known.
   * @param {import('./settings.js').Settings} settings - Whether it is wanted.
   * @param {import('@jupyterlab/application').JupyterFrontEnd} app - JupyterLab.
   * @param {?import('@jupyterlab/notebook').INotebookTracker} notebooks - All open notebooks.
   * @param {string} page - The address of the page about all kernels.
   */
  constructor(states, settings, app, notebooks, page) {
    this.#states = states;
    this.#app = app;
    this.#notebooks = notebooks;
    this.#page = page;
    states.died.connect((_, status) => {
      if (settings.notifications) {
        void this.#notify(status);
      }
    });
  }

  async #notify(status) {
    const session = await this.#session(status.id);
    if (session?.path) {
      const { serverSettings } = this.#app.serviceManager;
      const run = await getRun(serverSettings, status.last_termination.run_id);
      this.#show(status.id, sentence(status, session.path, run), this.#actions(status, session));
    }
  }

  async #session(kernelId) {
    const { sessions } = this.#app.serviceManager;
    if (!sessionOf(sessions, kernelId)) {
      await sessions.refreshRunning();
    }
    return sessionOf(sessions, kernelId);
  }

  /** A kernel that dies again and again has one notification, the latest. */
  #show(kernelId, message, actions) {
    const options = { actions, autoClose: false };
    const id = this.#shown.get(kernelId);
    if (!id || !Notification.update({ id, message, type: 'error', ...options })) {
      this.#shown.set(kernelId, Notification.error(message, options));
    }
  }

  #actions(status, session) {
    const restart = {
      label: 'Restart Kernel',
      displayType: 'accent',
      callback: () => void this.#restart(status.id)
    };
    return [
      ...(status.status === 'dead' ? [restart] : []),
      { label: 'Open', callback: () => void openSession(this.#app.commands, session) },
      { label: 'Details', callback: event => this.#explain(event, status.id) }
    ];
  }

  #explain(event, kernelId) {
    event.preventDefault(); // the notification stays
    const body = new Details(this.#states, kernelId, this.#page);
    const buttons = [Dialog.okButton({ label: 'Close' })];
    void new Dialog({ title: 'Kernel Status', body, buttons }).launch();
  }

  async #restart(kernelId) {
    const contexts = [];
    this.#notebooks?.forEach(panel => contexts.push(panel.sessionContext));
    const context = contexts.find(one => one.session?.kernel?.id === kernelId);
    try {
      await (context ? anew(context) : this.#ask(kernelId));
    } catch (error) {
      await showErrorMessage('The kernel was not restarted', error);
    }
  }

  async #ask(kernelId) {
    const { serverSettings } = this.#app.serviceManager;
    const url = URLExt.join(serverSettings.baseUrl, 'api/kernels', kernelId, 'restart');
    const response = await ServerConnection.makeRequest(url, { method: 'POST' }, serverSettings);
    if (!response.ok) {
      throw await ServerConnection.ResponseError.create(response);
    }
  }
}

/** JupyterLab never connects again to a kernel that it has found dead: the notebook gets a new one. */
function anew(context) {
  const { kernel } = context.session;
  return kernel.status === 'dead' ? context.changeKernel({ name: kernel.name }) : kernel.restart();
}
