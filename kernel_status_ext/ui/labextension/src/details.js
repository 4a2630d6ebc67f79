/**
 * The only place that shows all that is known of one kernel.
 */

import { Widget } from '@lumino/widgets';

import { element } from './dom.js';
import { happened, lifetime, moment, size, word } from './words.js';

/** One kernel, kept up to date. */
export class Details extends Widget {
  #states;
  #kernelId;
  #page;

  /**
   * Show a kernel.
   *
   * @param {import('./states.js').KernelStates} states - What is known.
   * @param {string} kernelId - The kernel.
   * @param {string} page - The address of the page about all kernels.
   */
  constructor(states, kernelId, page) {
    super();
    this.#states = states;
    this.#kernelId = kernelId;
    this.#page = page;
    this.addClass('jp-KernelStatus-details');
    this.node.tabIndex = -1;
    states.changed.connect(this.#show, this);
    this.#show();
  }

  /** Stop listening. */
  dispose() {
    this.#states.changed.disconnect(this.#show, this);
    super.dispose();
  }

  #show() {
    const status = this.#states.get(this.#kernelId);
    const isOpen = this.node.querySelector('details')?.open;
    this.node.replaceChildren(...(status ? this.#parts(status) : ['This kernel is gone.']));
    if (isOpen) {
      this.node.querySelector('details')?.setAttribute('open', '');
    }
  }

  #parts(status) {
    const figures = this.#states.figures(status.id);
    return [
      element('h2', {}, `Kernel ${word(status)}`),
      status.reason && element('p', { className: 'jp-KernelStatus-reason' }, status.reason),
      table([
        ['Since', moment(status.since)],
        ['Kernel', `${status.name}, ${status.id.slice(0, 8)}`],
        ['Process', status.pid ? `${status.pid}` : 'none'],
        ['Memory', memory(figures)],
        ['Automatic restarts', `${status.restart_count}`]
      ]),
      ...(status.last_termination ? lastEnd(status.last_termination) : []),
      element('p', {}, this.#link())
    ].filter(Boolean);
  }

  #link() {
    const options = { href: this.#page, target: '_blank', rel: 'noopener' };
    return element('a', options, 'All kernels and their history');
  }
}

function table(rows) {
  const known = rows.filter(([, value]) => value);
  const cells = known.flatMap(([name, value]) => [
    element('dt', {}, name),
    element('dd', {}, value)
  ]);
  return element('dl', {}, ...cells);
}

function memory(figures) {
  if (!figures?.alive) {
    return '';
  }
  const { memory_rss_bytes: now, memory_peak_bytes: peak, children } = figures;
  const most = peak ? `, at most ${size(peak)}` : '';
  const theirs = size(children?.memory_rss_bytes);
  const more = children?.count ? `; its ${children.count} child processes ${theirs}` : '';
  return now ? size(now) + most + more : '';
}

function lastEnd(end) {
  const rows = [
    ['Ended', moment(end.finished_at)],
    ['Lived', lifetime(end)],
    ['Memory', end.peak_memory ? `at most ${size(end.peak_memory)}` : ''],
    ['What to do', end.expected ? '' : end.hint]
  ];
  return [
    element('h3', {}, end.expected ? 'Last process, ended on request' : 'Last process'),
    element('p', {}, happened(end)),
    table(rows),
    ...(end.traceback && !end.expected ? [lastWords(end.traceback)] : [])
  ];
}

function lastWords(text) {
  const summary = element('summary', {}, 'Its last words');
  return element('details', {}, summary, element('pre', {}, text));
}
