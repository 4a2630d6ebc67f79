/** The only place that does something to a kernel: interrupt, restart, shut down. */

import { make, setAttribute, setText } from "./dom.js";
import { ask } from "./question.js";
import { about, act } from "./server.js";

/**
 * @typedef {object} Action
 * @property {string} label
 * @property {string} method
 * @property {string} call
 * @property {string} done What is said when the server has taken it.
 * @property {string | null} warning What is lost by it; null for nothing: it is not asked again then.
 */

/** @type {Action[]} */
const ACTIONS = [
  { label: "Interrupt", method: "POST", call: "/interrupt", done: "The interrupt was sent.", warning: null },
  {
    label: "Restart",
    method: "POST",
    call: "/restart",
    done: "The restart was asked for.",
    warning: "All that it holds in memory is lost, and what it runs ends.",
  },
  {
    label: "Shut down",
    method: "DELETE",
    call: "",
    done: "The shutdown was asked for.",
    warning: "All that it holds in memory is lost, and it leaves this list.",
  },
];

/** The buttons of one kernel, and what became of the last one that was pressed. */
export class Actions {
  /** @param {import("./entry.js").Entry} entry */
  constructor(entry) {
    this.entry = entry;
    this.buttons = ACTIONS.map((action) => this.button(action));
    this.said = make("p", { class: "said", role: "status" });
    this.refused = make("p", { class: "refused", role: "alert" });
    this.element = make("div", { class: "actions" }, ...this.buttons, this.said, this.refused);
  }

  button(action) {
    const { name, id } = this.entry.kernel;
    const label = `${action.label} ${name} ${id.slice(0, 8)}`;
    const button = make("button", { type: "button", "aria-label": label }, action.label);
    button.addEventListener("click", () => this.pressed(action, button));
    return button;
  }

  async pressed(action, button) {
    if (button.getAttribute("aria-disabled") === "true") return;
    if (action.warning !== null && !(await ask(this.question(action)))) return;
    // Not really disabled: that would take the focus away.
    setAttribute(button, "aria-disabled", "true");
    setText(this.said, "");
    setText(this.refused, "");
    try {
      await act(action.method, about(this.entry.kernel.id, action.call));
      setText(this.said, action.done);
    } catch (why) {
      setText(this.refused, why.message);
    } finally {
      setAttribute(button, "aria-disabled", null);
    }
  }

  question(action) {
    const { name, id } = this.entry.kernel;
    const works = this.entry.path === "" ? "" : ` of ${this.entry.path}`;
    return {
      title: `${action.label} this kernel?`,
      text: `${name} ${id.slice(0, 8)}${works}: ${action.warning}`,
      yes: action.label,
    };
  }
}
