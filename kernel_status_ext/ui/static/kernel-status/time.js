/** The only place that knows what time it is on the server. */

import { coarse, duration } from "./format.js";

/** Below it the server's clock, which is told in whole seconds, and ours are taken for the same. */
const TRIFLE = 2000;

let ahead = 0;

/**
 * Learn from an answer how far the server's clock is ahead of ours.
 * @param {Response} answer
 */
export function learn(answer) {
  const told = Date.parse(answer.headers.get("Date") ?? "");
  if (!Number.isNaN(told)) {
    const difference = told - Date.now();
    ahead = Math.abs(difference) > TRIFLE ? difference : 0;
  }
}

/** @returns {number} Milliseconds since 1970 by the server's clock. */
export function now() {
  return Date.now() + ahead;
}

/**
 * @param {string | null | undefined} moment ISO 8601.
 * @returns {string} How long ago that was, "" where it is not known.
 */
export function age(moment) {
  return moment ? coarse((now() - Date.parse(moment)) / 1000) : "";
}

/**
 * @param {string | null | undefined} moment ISO 8601.
 * @returns {string} How long something lasts that began then, to the second.
 */
export function lasting(moment) {
  return moment ? duration((now() - Date.parse(moment)) / 1000) : "";
}
