/**
 * The only place that words what people read: states, sizes, spans of time.
 */

const UNITS = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB'];

/**
 * Say in one word what a kernel does.
 *
 * @param {import('./states.js').Status} status - The kernel.
 * @returns {string} Its `state` while it takes work, else what its process is at.
 */
export function word(status) {
  return status.status === 'connected' ? status.state : status.status;
}

/**
 * Write a number of bytes.
 *
 * @param {?number} bytes - How many.
 * @returns {string} Such as `84.2 MiB`; empty if it is not known.
 */
export function size(bytes) {
  if (typeof bytes !== 'number') {
    return '';
  }
  let [value, unit] = [bytes, 0];
  while (value >= 1023.95 && unit < UNITS.length - 1) {
    [value, unit] = [value / 1024, unit + 1];
  }
  return `${unit ? value.toFixed(1) : value} ${UNITS[unit]}`;
}

/**
 * Write a span of time.
 *
 * @param {number} seconds - How long.
 * @returns {string} Such as `1.4 s`, `12 min`, `3 h 5 min`.
 */
export function span(seconds) {
  if (seconds < 120) {
    return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  }
  const minutes = Math.floor(seconds / 60);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/**
 * Write how long a process lived.
 *
 * @param {import('./states.js').Termination} end - Its end.
 * @returns {string} A span; empty where its start is not known.
 */
export function lifetime(end) {
  if (!end.started_at) {
    return '';
  }
  return span((new Date(end.finished_at) - new Date(end.started_at)) / 1000);
}

/**
 * Write a moment as a clock on this wall would show it.
 *
 * @param {string} iso - The moment.
 * @returns {string} The time, with the date if it was not today.
 */
export function moment(iso) {
  const date = new Date(iso);
  const isToday = date.toDateString() === new Date().toDateString();
  return isToday ? date.toLocaleTimeString() : date.toLocaleString();
}

/**
 * Say what happened, without the advice that ends a reason.
 *
 * @param {import('./states.js').Termination} end - The end of a process.
 * @returns {string} The sentence.
 */
export function happened(end) {
  const advice = `; ${end.hint}.`;
  return end.hint && end.reason.endsWith(advice)
    ? `${end.reason.slice(0, -advice.length)}.`
    : end.reason;
}

/**
 * Cut a text.
 *
 * @param {string} text - Any text.
 * @param {number} length - The most characters that are kept.
 * @returns {string} The text on one line, with an ellipsis if it was too long.
 */
export function cut(text, length) {
  const line = text.replace(/\s+/g, ' ').trim();
  return line.length <= length ? line : `${line.slice(0, Math.max(0, length - 1))}…`;
}
