/** The only place that says whether what the page shows is true now. */

import { find, setAttribute, setText } from "./dom.js";

const WORDS = {
  connecting: "Connecting …",
  live: "Live",
  lost: "Reconnecting …",
  refused: "Not allowed",
  paused: "Paused",
};
const LOST = "The server does not answer. What you see is what was true last; it is asked again and again.";

/** The state of the connection: a light, and a sentence where something is wrong. */
export class Banner {
  /**
   * @param {HTMLElement} main
   * @param {() => void} again Called when somebody wants to try again at once.
   */
  constructor(main, again) {
    this.main = main;
    this.said = find(".connection .said");
    this.notice = find(".notice");
    this.sentence = find(".notice .sentence");
    this.login = find(".notice .login");
    find(".notice .again").addEventListener("click", again);
  }

  /**
   * @param {import("./stream.js").Connection} connection
   * @param {import("./server.js").Refusal | null} why
   */
  show(connection, why) {
    setAttribute(this.main, "data-connection", connection);
    setText(this.said, WORDS[connection]);
    const isWrong = connection === "lost" || connection === "refused";
    setText(this.sentence, isWrong ? (why?.message ?? LOST) : "");
    this.notice.hidden = !isWrong;
    this.login.hidden = connection !== "refused";
  }
}
