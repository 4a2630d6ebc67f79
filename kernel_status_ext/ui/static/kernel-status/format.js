/** The only place that writes sizes, times and shares for people. */

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
/** @type {[number, string, number, string][]} Seconds of a unit, and of what stands beside it. */
const STEPS = [
  [86400, "d", 3600, "h"],
  [3600, "h", 60, "min"],
  [60, "min", 1, "s"],
];
const CLOCK = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

/**
 * @param {number | null | undefined} size Bytes.
 * @returns {string} "181 MiB", "" where it is not known.
 */
export function bytes(size) {
  if (size === null || size === undefined) return "";
  let step = 0;
  let value = size;
  while (value >= 1024 && step < UNITS.length - 1) {
    value /= 1024;
    step += 1;
  }
  return `${value < 10 && step > 0 ? value.toFixed(1) : Math.round(value)} ${UNITS[step]}`;
}

/**
 * @param {number | null | undefined} share Of one processor, in percent.
 * @returns {string} "12 %", "" where it is not known.
 */
export function percent(share) {
  if (share === null || share === undefined) return "";
  return share > 0 && share < 1 ? "<1 %" : `${Math.round(share)} %`;
}

/**
 * @param {number} seconds
 * @returns {string} "3 s", "2 min 5 s", "3 h 20 min", "4 d".
 */
export function duration(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  for (const [size, unit, small, smallUnit] of STEPS) {
    if (whole >= size) {
      const rest = Math.floor((whole % size) / small);
      const isShort = rest === 0 || whole >= 10 * size;
      return `${Math.floor(whole / size)} ${unit}${isShort ? "" : ` ${rest} ${smallUnit}`}`;
    }
  }
  return `${whole} s`;
}

/**
 * @param {number} seconds
 * @returns {string} The same in one word: "3 s", "2 min", "3 h", "4 d". It changes seldom, and is read at once.
 */
export function coarse(seconds) {
  const [size, unit] = STEPS.find(([each]) => seconds >= each) ?? [1, "s"];
  return `${Math.max(0, Math.floor(seconds / size))} ${unit}`;
}

/**
 * @param {string} begin ISO 8601.
 * @param {string | number} end The same, or milliseconds since 1970.
 * @returns {string} How long that was.
 */
export function lasted(begin, end) {
  const seconds = (new Date(end).getTime() - Date.parse(begin)) / 1000;
  return seconds < 1 ? "under 1 s" : duration(seconds);
}

/**
 * @param {string | null} moment ISO 8601.
 * @returns {string} The moment in this browser's words.
 */
export function clock(moment) {
  return moment === null ? "" : CLOCK.format(new Date(moment));
}

/**
 * @param {string} text
 * @param {number} length
 * @returns {string} At most so many characters of it.
 */
export function cut(text, length) {
  return text.length > length ? `${text.slice(0, length - 1)}…` : text;
}
