/** The only place that asks somebody whether they mean it. */

import { find, setText } from "./dom.js";

/**
 * Ask, in a dialog that only this answers.
 * @param {{title: string, text: string, yes: string}} words
 * @returns {Promise<boolean>} Whether they mean it.
 */
export function ask({ title, text, yes }) {
  const dialog = /** @type {HTMLDialogElement} */ (find("dialog.question"));
  setText(find("#question-title"), title);
  setText(find("#question-text"), text);
  setText(find(".yes", dialog), yes);
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}
