/** The page of a server's kernels: puts its parts together, nothing else. */

import { Banner } from "./banner.js";
import { Board } from "./board.js";
import { find, setAttribute, setText } from "./dom.js";
import { Stream } from "./stream.js";

/** @type {NodeListOf<HTMLElement>} */
const FILTERS = document.querySelectorAll("button[data-filter]");

/** A token in the address would stay in the history and be copied with the address. */
function forgetToken() {
  const here = new URL(window.location.href);
  if (here.searchParams.has("token")) {
    here.searchParams.delete("token");
    window.history.replaceState(window.history.state, "", here);
  }
}

function summarize(board, isKnown) {
  const counts = board.table.count();
  for (const button of FILTERS) {
    setText(find(".count", button), isKnown ? String(counts[button.dataset.filter]) : "–");
  }
  document.title = counts.attention > 0 ? `(${counts.attention}) Kernels` : "Kernels";
  const empty = counts.all === 0 ? "none" : "filtered";
  setAttribute(find(".empty"), "data-empty", isKnown ? empty : "loading");
  find(".empty").hidden = isKnown && counts.shown > 0;
  setAttribute(find("table.kernels"), "aria-busy", String(!isKnown));
}

function choose(board, group) {
  for (const button of FILTERS) {
    setAttribute(button, "aria-pressed", String(button.dataset.filter === group));
  }
  board.table.filter(group);
  summarize(board, true);
}

function begin() {
  forgetToken();
  // The server's own template does not say it.
  document.documentElement.lang ||= "en";
  let isKnown = false;
  const board = new Board(() => summarize(board, isKnown));
  const banner = new Banner(find("main"), () => stream.again());
  const stream = new Stream({
    snapshot: (data) => {
      isKnown = true;
      board.snapshot(data);
    },
    change: (kernel) => board.change(kernel),
    removed: (kernel) => board.removed(kernel),
    figures: (figures) => board.figures(figures),
    connection: (connection, why) => banner.show(connection, why),
  });
  const search = /** @type {HTMLInputElement} */ (find(".search"));
  search.addEventListener("input", () => {
    board.table.look(search.value);
    summarize(board, isKnown);
  });
  FILTERS.forEach((each) => each.addEventListener("click", () => choose(board, each.dataset.filter)));
  find(".show-all").addEventListener("click", () => {
    search.value = "";
    board.table.look("");
    choose(board, "all");
    search.focus();
  });
  stream.open();
}

begin();
