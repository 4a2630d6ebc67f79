/** The only place that asks the server: addresses, the XSRF header, errors as sentences. */

import { learn } from "./time.js";

const BASE = document.body.dataset.baseUrl ?? "/";

/** An answer that is an error, or none at all; its message is for people. */
export class Refusal extends Error {
  /**
   * @param {string} message
   * @param {number} code The HTTP status; 0 when there was no answer.
   * @param {number} wait Seconds after which to try again.
   */
  constructor(message, code, wait = 0) {
    super(message);
    this.code = code;
    this.wait = wait;
  }
}

/**
 * @param {string} path Below the base_url.
 * @returns {string}
 */
export function address(path) {
  return `${BASE}${path}`;
}

/**
 * @param {string} kernel A kernel's id.
 * @param {string} call
 * @returns {string} The path of a call about one kernel.
 */
export function about(kernel, call = "") {
  return `api/kernels/${encodeURIComponent(kernel)}${call}`;
}

/**
 * GET something.
 * @param {string} path Below the base_url.
 * @returns {Promise<any>} The body.
 * @throws {Refusal}
 */
export async function get(path) {
  const answer = await send("GET", path);
  return answer.json();
}

/**
 * Ask for an action.
 * @param {string} method
 * @param {string} path Below the base_url.
 * @throws {Refusal}
 */
export async function act(method, path) {
  await send(method, path, { "X-XSRFToken": cookie("_xsrf"), "Content-Type": "application/json" });
}

/**
 * Find out why the server does not let us follow its kernels.
 * @param {string} path Of the stream.
 * @returns {Promise<void>} Settles at the answer's head: nothing of the stream is read.
 * @throws {Refusal}
 */
export async function knock(path) {
  const hangUp = new AbortController();
  try {
    await send("GET", path, {}, hangUp.signal);
  } finally {
    hangUp.abort();
  }
}

async function send(method, path, headers = {}, signal = undefined) {
  let answer;
  try {
    answer = await fetch(address(path), { method, headers, signal, credentials: "same-origin" });
  } catch {
    throw new Refusal("The server does not answer.", 0);
  }
  learn(answer);
  if (!answer.ok) {
    throw await refusal(answer);
  }
  return answer;
}

async function refusal(answer) {
  const wait = Number(answer.headers.get("Retry-After")) || 0;
  let message = `The server answered ${answer.status} ${answer.statusText}`.trimEnd() + ".";
  try {
    const body = await answer.json();
    message = body.message || message;
  } catch {
    // A proxy's page, not our server's words: the code has to do.
  }
  return new Refusal(message, answer.status, wait);
}

function cookie(name) {
  const found = document.cookie.split("; ").find((each) => each.startsWith(`${name}=`));
  return found === undefined ? "" : decodeURIComponent(found.slice(name.length + 1));
}
