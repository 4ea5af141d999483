// One line that says how old the figures are, what is away, and what to do about it.

import { byId, say, set } from "./dom.js";
import { lasted } from "./format.js";

/** Older than this is said to be old: some rounds of the watch were missed. */
const OLD_MS = 20_000;
const EVERY_MS = 1_000;

/** What to do about each kind of failure. */
const ADVICE = /** @type {Record<string, string>} */ ({
  unreachable: "Is the gateway running? “make up” starts everything; this page comes back by itself.",
  away: "The watch answers these questions: is it running? “python -m streams.watch” starts it; this page comes back by itself.",
  key: "Give a key that is valid.",
  forbidden: "Use a key that has the permission.",
  limited: "This page asks more slowly now.",
  missing: "Is the gateway of an older version than this page?",
  failed: "The log of the gateway or the watch says more.",
  invalid: "Reload the page; if it stays, it and the gateway are of different versions.",
});

export class ConnectionLine {
  /**
   * @param {import("./api.js").Api} api
   * @param {import("./polling.js").Poller} poller
   * @param {() => number} dataMs when what is shown was measured, by the gateway's clock; NaN if never
   */
  constructor(api, poller, dataMs) {
    this.api = api;
    this.poller = poller;
    this.dataMs = dataMs;
    this.root = byId("connection");
    this.text = byId("connection-text");
    this.age = byId("connection-age");
    this.retry = byId("retry-button");
    this.retry.addEventListener("click", () => poller.again());
    this.keyWhy = "";
    setInterval(() => document.hidden || this.show(), EVERY_MS);
  }

  show() {
    const error = this.poller.worst();
    const ageMs = this.api.nowMs() - this.dataMs();
    const old = Number.isNaN(ageMs) || ageMs > OLD_MS;
    if (this.poller.held) {
      this.put("key", this.keyWhy || "The gateway asks for a key. Press “Key” and give one.", "");
    } else if (error) {
      this.put(error.kind === "limited" ? "slow" : "away", `${error.message} ${ADVICE[error.kind] ?? ""}`, this.ageText(ageMs));
    } else if (Number.isNaN(ageMs)) {
      this.put("starting", "Connecting …", "");
    } else if (old) {
      this.put("old", "The figures are old: the watch gets none. Are workers and Kafka running?", this.ageText(ageMs));
    } else {
      this.put("live", this.api.pace.gapMs ? "Live, slowed down to keep within the rate of this key" : "Live", this.ageText(ageMs));
    }
    const waitMs = this.poller.nextMs() - Date.now();
    const away = !this.poller.held && error !== null;
    set(this.retry, "hidden", !away);
    if (away) {
      say(this.retry, waitMs > 1_500 && Number.isFinite(waitMs) ? `Try now (else in ${lasted(waitMs)})` : "Try now");
    }
  }

  /** @param {number} ageMs */
  ageText(ageMs) {
    return Number.isNaN(ageMs) ? "" : `figures ${lasted(ageMs)} old`;
  }

  /**
   * @param {string} state
   * @param {string} text
   * @param {string} age
   */
  put(state, text, age) {
    set(this.root, "data-state", state);
    say(this.text, text);
    say(this.age, age);
  }
}
