// What changed about alerts, the newest first.

import { el, say, set } from "./dom.js";
import { against, labelList, severityBadge } from "./alertparts.js";
import { iso, moment } from "./format.js";
import { changesOf } from "./shapes.js";

const FIRST = 25;
const MORE = 4;
const MOST = 400;
const EVERY_MS = 30_000;

export class HistoryList {
  /**
   * @param {import("./api.js").Api} api
   * @param {import("./polling.js").Poller} poller
   * @param {import("./store.js").Box<number>} news
   * @param {(alert: string) => import("./shapes.js").Rule | undefined} ruleOf
   */
  constructor(api, poller, news, ruleOf) {
    this.api = api;
    this.poller = poller;
    this.ruleOf = ruleOf;
    this.limit = FIRST;
    // With roles, because on a phone the rows are no table to the browser any more.
    this.body = el("tbody", { role: "rowgroup" });
    this.note = el("p", { class: "muted" }, "Not known yet.");
    this.more = el("button", { type: "button", class: "button", hidden: true, onclick: () => this.older() }, "Show more");
    this.table = el("table", { hidden: true, role: "table" }, el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, ...["When", "Alert", "Change", "Value", "Labels"].map((name) => el("th", { scope: "col", role: "columnheader", class: name === "Value" && "number" }, name)))), this.body);
    this.root = el("section", { "aria-labelledby": "history-title" }, el("h2", { id: "history-title", tabindex: -1 }, "History"), this.note,
      el("div", { class: "scroll card flush", tabindex: 0, role: "region", "aria-labelledby": "history-title" }, this.table), this.more);
    this.task = {
      name: "history", everyMs: () => EVERY_MS, path: () => "v1/alerts/history", query: () => ({ limit: this.limit }), rank: 4,
      take: (/** @type {unknown} */ answer) => this.show(changesOf(answer)),
      fail: (/** @type {Error} */ error) => this.tell(error.message),
    };
    this.unask = poller.add(this.task);
    this.seen = news.value;
    this.unlook = news.look((count) => {
      if (count !== this.seen) {
        this.seen = count;
        poller.soon(this.task);
      }
    });
  }

  end() {
    this.unask();
    this.unlook();
  }

  older() {
    this.limit = Math.min(MOST, this.limit * MORE);
    this.poller.now(this.task);
  }

  /** @param {string} text */
  tell(text) {
    say(this.note, text);
    set(this.note, "hidden", text === "");
  }

  /** @param {import("./shapes.js").Change[]} changes */
  show(changes) {
    const nowMs = this.api.nowMs();
    const newest = [...changes].sort((one, other) => other.atMs - one.atMs);
    this.tell(changes.length ? "" : "Nothing has changed yet.");
    set(this.table, "hidden", changes.length === 0);
    set(this.more, "hidden", changes.length < this.limit || this.limit >= MOST);
    this.body.replaceChildren(...newest.map((change) => el("tr", { role: "row" },
      el("td", { role: "cell", class: "muted" }, el("time", { datetime: iso(change.atMs) }, moment(change.atMs, nowMs))),
      el("th", { scope: "row", role: "rowheader" }, severityBadge(change.severity), " ", change.alert),
      el("td", { role: "cell" }, el("span", { class: "change" }, change.from || "–", el("span", { class: "arrow", "aria-hidden": "true" }, " → "), el("span", { class: "unseen" }, " to "), el("strong", { "data-to": change.to }, change.to || "–"))),
      el("td", { role: "cell", class: "number" }, against(change.value, change.threshold, this.ruleOf(change.alert))),
      el("td", { role: "cell" }, labelList(change.labels)))));
  }
}
