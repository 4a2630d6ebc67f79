/**
 * The only place that words a notification about a death.
 */

import { PathExt } from '@jupyterlab/coreutils';

import { cut, happened } from './words.js';

/** JupyterLab shows so many characters of a notification, and no more. */
const ROOM = 140;

/** What happened may take so many of them, for the cell and the advice to have their place. */
const FOR_WHAT_HAPPENED = 76;

const FOR_A_NAME = 24;

/** What its process held is told by the details. */
const MEMORY = /; it held [\d.]+ \w+/;

/**
 * Say why a kernel died, how long it lived, which cell ran, and what to do.
 *
 * @param {import('./states.js').Status} status - The kernel.
 * @param {string} path - Its notebook.
 * @param {?{code: string, execution_count: ?number}} run - What it worked on.
 * @returns {string} Three lines that fit.
 */
export function sentence(status, path, run) {
  const what = cut(happened(status.last_termination).replace(MEMORY, ''), FOR_WHAT_HAPPENED);
  const advice = status.status === 'dead' ? 'Restart it to go on.' : 'It restarts; variables are lost.';
  const where = cell(path, run, ROOM - what.length - advice.length - 2);
  return [what, where, advice].join('\n');
}

function cell(path, run, room) {
  const name = cut(PathExt.basename(path), FOR_A_NAME);
  if (!run) {
    return name;
  }
  const line = run.code.split('\n').find(each => each.trim()) ?? '';
  return cut(`${name} [${run.execution_count ?? '*'}]: ${line}`, room);
}
