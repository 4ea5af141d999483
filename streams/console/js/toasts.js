// News in a corner: each once, few at a time, gone after a while unless grave or looked at.

import { byId, el, say } from "./dom.js";
import { severityBadge } from "./alertparts.js";

const SHOWN_MAX = 4;
const LASTS_MS = 12_000;
const REMEMBERED_MAX = 500;

/** @typedef {{key: string, severity: string, title: string, text: string, href: string}} News */

export class Toasts {
  constructor() {
    this.host = byId("toasts");
    /** @type {Set<string>} */
    this.told = new Set();
  }

  /**
   * Tell something, unless it was told.
   * @param {News} news
   */
  tell(news) {
    if (!this.remember(news.key)) {
      return;
    }
    // Spoken by regions that are there from the start: one that comes with its text is often missed.
    say(byId(news.severity === "critical" ? "said-now" : "said"), `${news.severity}: ${news.title}. ${news.text}`);
    const close = () => {
      clearTimeout(timer);
      root.remove();
    };
    const root = el("div", { class: "toast", "data-severity": news.severity },
      el("div", { class: "toast-text" }, severityBadge(news.severity), el("strong", {}, news.title), el("p", {}, news.text), el("a", { href: news.href, onclick: () => close() }, "Show it")),
      el("button", { type: "button", class: "toast-close", "aria-label": `Dismiss ${news.title}`, onclick: () => close() }, "×"));
    let timer = 0;
    const wait = () => {
      clearTimeout(timer);
      // What is grave stays until somebody has seen it.
      timer = news.severity === "critical" ? 0 : setTimeout(close, LASTS_MS);
    };
    for (const name of ["pointerenter", "focusin"]) {
      root.addEventListener(name, () => clearTimeout(timer));
    }
    for (const name of ["pointerleave", "focusout"]) {
      root.addEventListener(name, wait);
    }
    wait();
    this.host.prepend(root);
    while (this.host.childElementCount > SHOWN_MAX) {
      this.host.lastElementChild?.remove();
    }
  }

  /** @param {string} key */
  remember(key) {
    if (this.told.has(key)) {
      return false;
    }
    this.told.add(key);
    if (this.told.size > REMEMBERED_MAX) {
      this.told.delete(/** @type {string} */ (this.told.values().next().value));
    }
    return true;
  }

  /** Dismiss the newest; tell whether there was one. */
  dismiss() {
    const first = this.host.firstElementChild;
    first?.remove();
    return Boolean(first);
  }
}
