/**
 * The only place that asks the server something else than the stream.
 */

import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';

/**
 * Call back once, as soon as a kernel shows that the server part is there.
 *
 * Its models have a `status`, which stock ones lack. JupyterLab asks for them anyway, so a
 * server without us, or one that does not let this user read kernels, is never asked for
 * anything that it would refuse: browsers write each refusal on their console.
 *
 * @param {import('@jupyterlab/services').Kernel.IManager} kernels - JupyterLab's kernels.
 * @param {() => void} callback - What to do then.
 */
export function whenServerPartIsSeen(kernels, callback) {
  const look = () => {
    if ([...kernels.running()].some(model => typeof model.status === 'string')) {
      kernels.runningChanged.disconnect(look);
      callback();
    }
  };
  kernels.runningChanged.connect(look);
  look();
}

/**
 * Get a run.
 *
 * @param {ServerConnection.ISettings} settings - How to reach the server.
 * @param {?string} id - Its `run_id`.
 * @returns {Promise<?object>} The run; null if there is none or it cannot be had.
 */
export async function getRun(settings, id) {
  if (!id) {
    return null;
  }
  const url = URLExt.join(settings.baseUrl, 'api/kernels/runs', encodeURIComponent(id));
  try {
    const response = await ServerConnection.makeRequest(url, {}, settings);
    return response.ok ? (await response.json()).run : null;
  } catch (error) {
    if (error instanceof ServerConnection.NetworkError) {
      return null;
    }
    throw error;
  }
}

/**
 * Find the session that a kernel works for.
 *
 * @param {import('@jupyterlab/services').Session.IManager} sessions - JupyterLab's sessions.
 * @param {string} kernelId - The kernel.
 * @returns {object | undefined} The session's model, as far as JupyterLab knows it.
 */
export function sessionOf(sessions, kernelId) {
  return [...sessions.running()].find(session => session.kernel?.id === kernelId);
}

/**
 * Open what a session belongs to.
 *
 * @param {import('@lumino/commands').CommandRegistry} commands - JupyterLab's commands.
 * @param {{type: string, path: string}} session - The session.
 * @returns {Promise<void>} Done when it is open.
 */
export function openSession(commands, { type, path }) {
  return commands.execute(type === 'console' ? 'console:open' : 'docmanager:open', { path });
}
