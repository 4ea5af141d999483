// What is new about alerts: told once, whether the events say it or the next answer does.

import { changeOf } from "./shapes.js";

/** @typedef {import("./shapes.js").Alert} Alert */

export class AlertNews {
  /**
   * @param {import("./toasts.js").Toasts} toasts
   * @param {import("./store.js").Box<number>} count counts the changes
   */
  constructor(toasts, count) {
    this.toasts = toasts;
    this.count = count;
    /** What fired when last asked; nothing before the first answer: what fires already is no news. @type {Map<string, string> | null} */
    this.firing = null;
  }

  /** @param {Alert[]} alerts */
  polled(alerts) {
    const now = new Map(alerts.filter((alert) => alert.state === "firing").map((alert) => [alert.id, String(alert.sinceMs)]));
    const before = this.firing;
    this.firing = now;
    if (before === null) {
      return;
    }
    for (const alert of alerts) {
      if (alert.state === "firing" && !before.has(alert.id) && !alert.silenced && isNews(alert)) {
        this.raised(alert.id, alert);
      }
    }
    if (before.size !== now.size || [...now.keys()].some((id) => !before.has(id))) {
      this.count.set(this.count.value + 1);
    }
  }

  /** @param {unknown} event */
  came(event) {
    const change = changeOf(event);
    if (change.to === "firing" && isNews(change)) {
      this.raised(change.id, change);
      // The next answer has it, too.
      this.firing?.set(change.id, "");
    } else if (change.from === "firing" && isNews(change)) {
      this.firing?.delete(change.id);
      this.toasts.tell({
        key: `${change.id} over ${change.atMs}`, severity: "info", title: `${change.alert} is over`, text: about(change.labels), href: "#/alerts",
      });
    }
    this.count.set(this.count.value + 1);
  }

  /**
   * @param {string} id
   * @param {{alert: string, severity: string, summary: string, labels: Record<string, string>, atMs?: number, sinceMs?: number}} what
   */
  raised(id, what) {
    this.toasts.tell({
      key: `${id} ${what.atMs ?? what.sinceMs}`, severity: what.severity, title: what.alert,
      text: [what.summary, about(what.labels)].filter(Boolean).join(" "), href: "#/alerts",
    });
  }
}

/**
 * Whether somebody wants to be told: an alert of the severity `info`, such as the one that always fires, is only shown.
 * @param {{severity: string, quiet?: boolean}} what
 */
function isNews(what) {
  return what.severity !== "info" && !what.quiet;
}

/** @param {Record<string, string>} labels */
function about(labels) {
  return Object.entries(labels).filter(([name]) => name !== "alertname").slice(0, 4).map(([name, value]) => `${name} ${value}`).join(", ");
}
