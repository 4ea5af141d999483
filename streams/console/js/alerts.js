// The alerts: what fires and what is about to, what changed, and the rules behind them.

import { Rows, el, say, set } from "./dom.js";
import { against, labelList, runbookLink, severityBadge } from "./alertparts.js";
import { SilenceForm } from "./forms.js";
import { iso, lasted, moment } from "./format.js";
import { HistoryList } from "./history.js";
import { RulesList } from "./rules.js";

const SEVERITIES = ["critical", "warning", "info"];

/** @typedef {import("./shapes.js").Alert} Alert */

/**
 * The gravest first, firing before pending, silenced last, then the newest.
 * @param {Alert[]} alerts
 * @returns {Alert[]}
 */
export function sorted(alerts) {
  const rank = (/** @type {Alert} */ alert) => [
    alert.silenced ? 1 : 0, alert.severity === "info" ? 1 : 0, alert.state === "firing" ? 0 : 1, (SEVERITIES.indexOf(alert.severity) + 4) % 4, -(alert.sinceMs || 0),
  ];
  return [...alerts].sort((one, other) => {
    const [mine, its] = [rank(one), rank(other)];
    const index = mine.findIndex((each, place) => each !== its[place]);
    return index < 0 ? 0 : mine[index] - its[index];
  });
}

/**
 * Whether an alert counts where only the number is shown.
 * @param {Alert} alert
 */
export function isLoud(alert) {
  return alert.state === "firing" && !alert.silenced && alert.severity !== "info";
}

export class AlertsView {
  /**
   * @param {import("./api.js").Api} api
   * @param {import("./polling.js").Poller} poller
   * @param {import("./store.js").Box<import("./shapes.js").Alerts|null>} alerts
   * @param {import("./store.js").Box<number>} news changes whenever an alert did
   * @param {() => void} again asks for the alerts anew
   */
  constructor(api, poller, alerts, news, again) {
    this.api = api;
    this.again = again;
    this.alerts = alerts;
    this.active = el("div", { class: "alert-list" });
    this.quiet = el("p", { class: "quiet" });
    this.rules = new RulesList(api, poller);
    this.history = new HistoryList(api, poller, news, (name) => this.rules.rule(name));
    this.rows = new Rows(this.active, (/** @type {Alert} */ alert) => new AlertCard(alert, this));
    this.root = el("section", { class: "view", "aria-labelledby": "alerts-title" },
      el("div", { class: "view-head" }, el("h1", { id: "alerts-title" }, "Alerts"),
        el("nav", { class: "jumps", "aria-label": "Parts of this view" },
          ...[["active", "Now"], ["rules", "Rules"], ["history", "History"]].map(([id, title]) => el("button", { type: "button", class: "link", onclick: () => this.jump(id) }, title)))),
      el("section", { "aria-labelledby": "active-title" }, el("h2", { id: "active-title", tabindex: -1 }, "Now"), this.quiet, this.active),
      this.rules.root, this.history.root);
    this.unlook = alerts.look(() => this.show());
    this.unrule = this.rules.changed.look(() => this.show());
  }

  /** @param {string} id */
  jump(id) {
    const title = /** @type {HTMLElement | null} */ (this.root.querySelector(`#${id}-title`));
    title?.scrollIntoView({ block: "start" });
    title?.focus({ preventScroll: true });
  }

  end() {
    this.unlook();
    this.unrule();
    this.rules.end();
    this.history.end();
  }

  show() {
    const found = this.alerts.value;
    if (!found) {
      say(this.quiet, "Not known yet.");
      return;
    }
    this.rows.show(sorted(found.alerts), (alert) => alert.id || `${alert.alert} ${JSON.stringify(alert.labels)}`);
    set(this.quiet, "hidden", found.alerts.length > 0 && found.leftOut === 0);
    say(this.quiet, found.leftOut ? `${found.leftOut} more are not shown.` : "Nothing fires, and nothing is about to.");
  }

  /**
   * Open the rule's form for a threshold.
   * @param {string} alert
   */
  openRule(alert) {
    this.rules.open(alert);
  }
}

class AlertCard {
  /**
   * @param {Alert} alert
   * @param {AlertsView} view
   */
  constructor(alert, view) {
    this.view = view;
    this.state = el("span", { class: "alert-state" });
    this.value = el("span", { class: "alert-value" });
    this.since = el("time");
    this.summary = el("p", { class: "alert-summary" });
    this.description = el("p", { class: "muted alert-description" });
    this.silenced = el("span", { class: "silenced", hidden: true }, "silenced");
    this.formHost = el("div");
    this.silenceButton = el("button", { type: "button", class: "button", "aria-expanded": "false", onclick: () => this.toggleForm(alert) }, "Silence …");
    this.thresholdButton = el("button", { type: "button", class: "button", onclick: () => view.openRule(alert.alert) }, "Threshold …");
    this.root = el("article", { class: "card alert", "data-alert": alert.alert, "data-severity": alert.severity, "aria-label": `${alert.alert}, ${alert.severity}` },
      el("div", { class: "alert-head" }, severityBadge(alert.severity), el("h3", {}, alert.alert), this.state, this.silenced, el("span", { class: "alert-since" }, "since ", this.since)),
      el("div", { class: "alert-main" }, this.value, this.summary), this.description,
      el("div", { class: "alert-foot" }, labelList(alert.labels), runbookLink(alert.runbook),
        el("div", { class: "buttons" }, this.silenceButton, this.thresholdButton)),
      this.formHost);
  }

  /** @param {Alert} alert */
  show(alert) {
    const nowMs = this.view.api.nowMs();
    set(this.root, "data-state", alert.state);
    say(this.state, alert.state || "unknown");
    set(this.silenced, "hidden", !alert.silenced);
    set(this.thresholdButton, "hidden", alert.threshold === null);
    say(this.value, against(alert.value, alert.threshold, this.view.rules.rule(alert.alert)));
    say(this.summary, alert.summary);
    say(this.description, alert.description);
    const known = Number.isFinite(alert.sinceMs);
    say(this.since, known ? `${moment(alert.sinceMs, nowMs)}, ${lasted(nowMs - alert.sinceMs)}` : "–");
    set(this.since, "datetime", known ? iso(alert.sinceMs) : null);
  }

  /** @param {Alert} alert */
  toggleForm(alert) {
    const open = this.formHost.childElementCount === 0;
    set(this.silenceButton, "aria-expanded", String(open));
    if (!open) {
      this.formHost.replaceChildren();
      this.silenceButton.focus();
      return;
    }
    const form = new SilenceForm(this.view.api, alert.alert, alert.labels.tenant ?? "", () => this.toggleForm(alert), this.view.again);
    this.formHost.replaceChildren(form.root);
    form.root.querySelector("select")?.focus();
  }
}
