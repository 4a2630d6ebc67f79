/** The only place that tells of ended processes and of runs. */

import { make } from "./dom.js";
import { bytes, clock, cut, duration, lasted } from "./format.js";

const CODE = 300;
const TITLE = 2000;

/** Jupyter Server's names for those who come with nothing but its token; they tell nothing. */
const MADE_UP = /^[0-9a-f]{32}$/;

/**
 * @param {object[]} ends Of its processes, oldest first.
 * @returns {HTMLElement} The newest first.
 */
export function terminations(ends) {
  if (ends.length === 0) {
    return make("p", { class: "nothing" }, "No process of this kernel has ended.");
  }
  const items = ends.map(termination).reverse();
  return make("ol", { class: "terminations", reversed: true }, ...items);
}

function termination(ended) {
  const hint = ended.reason.includes(ended.hint) ? "" : ended.hint;
  return make(
    "li",
    {},
    make("span", { class: "cause", "data-expected": String(ended.expected) }, ended.cause),
    facts(clock(ended.finished_at), ...exit(ended), ...spent(ended)),
    make("p", { class: "reason" }, ended.reason),
    ...(hint ? [make("p", { class: "hint" }, hint)] : []),
    ...(ended.traceback ? [traceback(ended.traceback)] : []),
  );
}

function exit({ signal, exit_code: code, pid, requested_by: by }) {
  return [
    signal ?? (code === null ? "" : `exit code ${code}`),
    pid === null ? "" : `process ${pid}`,
    by === null ? "" : `asked for: ${by}`,
  ];
}

function spent({ started_at: begin, finished_at: end, peak_memory: peak, cpu_seconds: cpu }) {
  return [
    begin && end ? `lived ${lasted(begin, end)}` : "",
    peak === null ? "" : `${bytes(peak)} at most`,
    cpu >= 1 ? `${duration(cpu)} of processor time` : "",
  ];
}

function facts(...told) {
  return make("span", { class: "facts" }, told.filter(Boolean).join(" · "));
}

function traceback(text) {
  const label = { tabindex: "0", role: "region", "aria-label": "The end of its stderr" };
  return make("details", {}, make("summary", {}, "What it wrote last"), make("pre", label, text));
}

/**
 * @param {object[]} found Newest first.
 * @returns {HTMLElement}
 */
export function runs(found) {
  if (found.length === 0) return make("p", { class: "nothing" }, "Nothing has run.");
  return make("ol", { class: "runs", reversed: true }, ...found.map(run));
}

function run(each) {
  const reason = why(each);
  const user = MADE_UP.test(each.username) ? "" : each.username;
  return make(
    "li",
    { "data-status": each.status },
    make("span", { class: "outcome", "data-status": each.status }, each.status),
    make("code", { title: cut(each.code ?? "", TITLE) }, firstLine(each)),
    facts(clock(each.started_at), took(each), user),
    ...(reason ? [make("p", { class: "reason" }, reason)] : []),
  );
}

function firstLine({ execution_count: count, code }) {
  const first = cut((code ?? "").trim().split("\n", 1)[0], CODE);
  return count === null ? first : `[${count}] ${first}`;
}

function why({ reason, error }) {
  return reason || (error === null ? "" : `${error.ename}: ${error.evalue}`);
}

function took({ started_at: begin, ended_at: end }) {
  return begin && end ? lasted(begin, end) : "";
}
