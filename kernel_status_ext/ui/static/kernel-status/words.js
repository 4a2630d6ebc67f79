/** The only place that says in which word, group and order a kernel is shown. */

/** Causes of an end that somebody asked for: nothing to look into. */
const ASKED_FOR = new Set(["Shutdown", "Restarted", "Culled", "ServerStopped"]);
const TROUBLED = new Set(["dead", "autorestarting", "unresponsive"]);

/** @typedef {"attention" | "running" | "idle" | "other"} Group */

/**
 * @param {object} kernel A status.
 * @returns {string} What it does, in one word.
 */
export function word(kernel) {
  if (kernel.status !== "connected") return kernel.status;
  return kernel.state === "running" ? "running" : "idle";
}

/**
 * @param {object} kernel A status.
 * @returns {Group}
 */
export function group(kernel) {
  const isAskedFor = ASKED_FOR.has(kernel.cause);
  if (!isAskedFor && (TROUBLED.has(kernel.status) || kernel.reason !== "")) return "attention";
  if (kernel.state === "running") return "running";
  return word(kernel) === "idle" ? "idle" : "other";
}

/**
 * @param {import("./entry.js").Entry} entry
 * @returns {string} What rows are sorted by. Those in trouble come first. All others stay where they are
 * whatever they do: a kernel runs and rests many times a minute, and a table whose rows jump can neither
 * be read nor clicked; the filter shows those that run.
 */
export function place(entry) {
  const rank = entry.group === "attention" ? "0" : "1";
  const path = entry.path === "" ? "\uffff" : entry.path.toLowerCase();
  return [rank, path, entry.kernel.name, entry.kernel.id].join("\u0000");
}

/**
 * @param {object} kernel A status.
 * @returns {object | null} Its last end if nobody asked for it.
 */
export function lastDeath(kernel) {
  const last = kernel.last_termination;
  return last === null || last.expected ? null : last;
}
