/** The only place that draws what a kernel did as a line of time. */

import { draw, make } from "./dom.js";
import { clock, lasted } from "./format.js";
import { now } from "./time.js";
import { word } from "./words.js";

const WIDTH = 1000;
const HEIGHT = 14;

/** A death is seen on the line however short it was. */
const LEAST = { dead: 4, autorestarting: 4, unresponsive: 4 };

/** So many changes are told in words. */
const TOLD = 12;

/**
 * @param {object[]} changes Of the kernel, oldest first.
 * @returns {HTMLElement} The line, and the same in words.
 */
export function timeline(changes) {
  if (changes.length === 0) {
    return make("p", { class: "nothing" }, "Nothing is known of the time before.");
  }
  const begin = Date.parse(changes[0].at);
  const end = Math.max(now(), begin + 1000);
  const scale = (moment) => ((moment - begin) / (end - begin)) * WIDTH;
  const spans = changes.map((each, index) => {
    const next = changes[index + 1];
    return span(each, scale(Date.parse(each.at)), scale(next ? Date.parse(next.at) : end));
  });
  const frame = { class: "line", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none" };
  return make(
    "div",
    { class: "timeline" },
    draw("svg", { ...frame, "aria-hidden": "true" }, ...spans),
    make("p", { class: "ends" }, make("span", {}, clock(changes[0].at)), make("span", {}, "now")),
    inWords(changes),
  );
}

function span(change, from, to) {
  const width = Math.max(to - from, LEAST[change.status] ?? 1);
  const place = { x: from.toFixed(1), y: 0, width: width.toFixed(1), height: HEIGHT };
  return draw("rect", { ...place, "data-word": word(change) });
}

/** The newest first; what a connected kernel did meanwhile is on the line alone. */
function inWords(changes) {
  const told = changes.filter((each, index) => {
    const before = changes[index - 1];
    return each.status !== before?.status || each.reason !== before.reason;
  });
  const items = told.map((each, index) => item(each, told[index + 1]));
  return make("ol", { class: "changes", reversed: true }, ...items.slice(-TOLD).reverse());
}

function item(change, next) {
  // What still lasts has its beginning only: a length would stand still while time goes on.
  const when = next ? `${clock(change.at)}, for ${lasted(change.at, next.at)}` : `since ${clock(change.at)}`;
  const kind = change.status === "connected" ? "idle" : change.status;
  return make(
    "li",
    {},
    make("span", { class: "word", "data-word": kind }, change.status),
    make("time", { datetime: change.at }, when),
    ...(change.reason === "" ? [] : [make("p", { class: "reason" }, change.reason)]),
  );
}
