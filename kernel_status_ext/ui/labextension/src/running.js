/**
 * The only place that lists kernels in the panel of what runs.
 */

import { PathExt } from '@jupyterlab/coreutils';
import { kernelIcon } from '@jupyterlab/ui-components';
import { Throttler } from '@lumino/polling';
import { Signal } from '@lumino/signaling';

import { openSession, sessionOf } from './server.js';
import { size, word } from './words.js';

/** Milliseconds between two new lists, at least. */
const PACE = 250;

/**
 * Make the section of the Running panel.
 *
 * @param {import('./states.js').KernelStates} states - What is known.
 * @param {import('@jupyterlab/application').JupyterFrontEnd} app - JupyterLab.
 * @returns {import('@jupyterlab/running').IRunningSessions.IManager} The section.
 */
export function section(states, app) {
  const { kernels, sessions } = app.serviceManager;
  const runningChanged = new Signal(states);
  const throttler = new Throttler(() => runningChanged.emit(), PACE);
  const renew = () => void throttler.invoke();
  states.changed.connect(renew);
  sessions.runningChanged.connect(renew);
  return {
    name: 'Kernel Status',
    running: () => states.all().map(status => item(states, app, status)),
    runningChanged,
    refreshRunning: () => Promise.all([kernels.refreshRunning(), sessions.refreshRunning()]),
    shutdownAll: () => kernels.shutdownAll(),
    shutdownLabel: 'Shut Down Kernel',
    shutdownAllLabel: 'Shut Down All',
    shutdownAllConfirmationText: 'Are you sure you want to permanently shut down all kernels?'
  };
}

function item(states, app, status) {
  const { kernels, sessions } = app.serviceManager;
  const session = sessionOf(sessions, status.id);
  const name = session?.path ? PathExt.basename(session.path) : `${status.name}, ${status.id.slice(0, 8)}`;
  const memory = size(states.figures(status.id)?.memory_rss_bytes);
  const detail = [word(status), memory].filter(Boolean).join(' · ');
  return {
    icon: () => kernelIcon,
    className: ['jp-KernelStatus-running', `jp-mod-${word(status)}`, status.reason && 'jp-mod-explained']
      .filter(Boolean)
      .join(' '),
    context: status.id,
    label: () => (status.reason ? `${name}: ${status.reason}` : name),
    labelTitle: () => [`${name}: kernel ${detail}`, status.reason].filter(Boolean).join('\n'),
    detail: () => detail,
    shutdown: () => void kernels.shutdown(status.id),
    ...(session?.path ? { open: () => void openSession(app.commands, session) } : {})
  };
}
