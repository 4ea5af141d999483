// The overview: how it goes in a few numbers, the map, what fires, who sends.

import { Rows, el, say, set } from "./dom.js";
import { against, labelList, severityBadge } from "./alertparts.js";
import { isLoud, sorted } from "./alerts.js";
import { lasted, seconds, short } from "./format.js";
import { PipelineView } from "./map.js";
import { stateSign } from "./mapparts.js";

const ALERTS_SHOWN = 6;
const TENANTS_SHOWN = 8;
const REASONS_SHOWN = 6;
/** Of a tenant; the others are in `/api/metrics`. */
const FIGURES_SHOWN = 3;
const FIGURES_FIRST = ["per_second", "error_ratio", "dead_lettered_per_second"];

/** @typedef {import("./shapes.js").Alert} Alert */

class Tile {
  /**
   * @param {string} name
   * @param {string} title
   */
  constructor(name, title) {
    this.value = el("span", { class: "tile-value" }, "–");
    this.more = el("span", { class: "tile-more" });
    this.root = el("div", { class: "tile", "data-tile": name }, el("span", { class: "tile-title" }, title), this.value, this.more);
  }

  /**
   * @param {string} value
   * @param {string} more
   */
  show(value, more = "") {
    say(this.value, value);
    say(this.more, more);
  }
}

export class OverviewView {
  /**
   * @param {import("./api.js").Api} api
   * @param {{map: import("./store.js").Box<any>, alerts: import("./store.js").Box<any>, metrics: import("./store.js").Box<any>}} data
   */
  constructor(api, data) {
    this.api = api;
    this.tiles = {
      rate: new Tile("rate", "Coming in"), p99: new Tile("p99", "Slowest in a hundred"), lag: new Tile("lag", "Waiting"),
      errors: new Tile("errors", "Failures"), busy: new Tile("busy", "Busiest hop"), alerts: new Tile("alerts", "Alerts"),
    };
    this.map = new PipelineView((id) => `#/charts/${encodeURIComponent(id)}`);
    this.mapNote = el("p", { class: "muted map-note" }, "The map comes with the first answer of the watch.");
    this.quiet = el("p", { class: "quiet" }, "Not known yet.");
    this.alertHost = el("ul", { class: "brief" });
    this.alertRows = new Rows(this.alertHost, (/** @type {Alert} */ alert) => this.alertRow(alert));
    this.tenantHost = el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Tenants" });
    this.reasonHost = el("ul", { class: "bars" });
    this.root = el("section", { class: "view", "aria-labelledby": "overview-title" },
      el("h1", { id: "overview-title", class: "unseen" }, "Overview"),
      el("div", { class: "tiles" }, ...Object.values(this.tiles).map((tile) => tile.root)),
      el("section", { class: "card map-card", "aria-labelledby": "map-title" },
        el("div", { class: "card-head" }, el("h2", { id: "map-title" }, "Pipeline"), legend()), this.mapNote, this.map.root, this.map.table),
      el("div", { class: "columns" },
        el("section", { class: "card", "aria-labelledby": "now-title" }, el("div", { class: "card-head" }, el("h2", { id: "now-title" }, "Alerts now"), el("a", { href: "#/alerts" }, "All alerts")), this.quiet, this.alertHost),
        el("section", { class: "card", "aria-labelledby": "tenants-title" }, el("div", { class: "card-head" }, el("h2", { id: "tenants-title" }, "Tenants")), this.tenantHost),
        el("section", { class: "card", "aria-labelledby": "reasons-title" }, el("div", { class: "card-head" }, el("h2", { id: "reasons-title" }, "Failures by reason")), this.reasonHost)));
    this.unlooks = [data.map.look((map) => map && this.showMap(map)), data.alerts.look((alerts) => alerts && this.showAlerts(alerts.alerts)), data.metrics.look((metrics) => metrics && this.showMetrics(metrics))];
  }

  end() {
    this.map.end();
    for (const unlook of this.unlooks) {
      unlook();
    }
  }

  /** @param {import("./shapes.js").PipelineMap} map */
  showMap(map) {
    set(this.mapNote, "hidden", map.nodes.length > 0);
    say(this.mapNote, "The watch knows of no process yet. Once workers tell their figures, they stand here.");
    this.map.show(map);
    const door = map.nodes.find((node) => node.kind === "process" && node.id === "gateway") ?? map.nodes.find((node) => node.kind === "hop");
    this.tiles.rate.show(door?.figures.perSecond == null ? "–" : `${short(door.figures.perSecond)}/s`, door ? `at ${door.title}` : "");
  }

  /** @param {import("./shapes.js").Metrics} metrics */
  showMetrics(metrics) {
    const slowest = metrics.latency.reduce((/** @type {any} */ worst, each) => ((each.p99 ?? -1) > (worst?.p99 ?? -1) ? each : worst), null);
    this.tiles.p99.show(seconds(slowest?.p99), slowest?.p99 == null ? "" : `in ${slowest.hop}, median ${seconds(slowest.p50)}`);
    const waiting = metrics.queues.filter(([, lag]) => lag !== null);
    const longest = waiting.reduce((/** @type {any} */ most, each) => ((each[1] ?? 0) > (most?.[1] ?? 0) ? each : most), null);
    this.tiles.lag.show(waiting.length ? short(waiting.reduce((sum, [, lag]) => sum + (lag ?? 0), 0)) : "–", longest ? `most in ${longest[0]}` : waiting.length ? "in all topics" : "");
    this.tiles.errors.show(metrics.errorRatio === null ? "–" : `${short(metrics.errorRatio * 100)}\u202f%`, "of what came in");
    const busiest = metrics.agents.reduce((/** @type {any} */ most, each) => ((each.utilisation ?? -1) > (most?.utilisation ?? -1) ? each : most), null);
    this.tiles.busy.show(busiest?.utilisation == null ? "–" : `${short(busiest.utilisation * 100)}\u202f%`, busiest?.hop ?? "");
    this.showTenants(metrics.tenants);
    this.showReasons(metrics.byReason);
  }

  /** @param {import("./shapes.js").Metrics["tenants"]} tenants */
  showTenants(tenants) {
    const all = new Set(tenants.flatMap((tenant) => tenant.figures.map(([name]) => name)));
    const names = [...FIGURES_FIRST.filter((name) => all.has(name)), ...[...all].filter((name) => !FIGURES_FIRST.includes(name))].slice(0, FIGURES_SHOWN);
    const first = (/** @type {typeof tenants[number]} */ tenant) => tenant.figures.find(([name]) => name === names[0])?.[1] ?? 0;
    const rows = [...tenants].sort((one, other) => first(other) - first(one)).slice(0, TENANTS_SHOWN);
    this.tenantHost.replaceChildren(rows.length ? el("table", {},
      el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Tenant"), ...names.map((name) => el("th", { scope: "col", class: "number" }, heading(name))))),
      el("tbody", {}, ...rows.map((tenant) => el("tr", {}, el("th", { scope: "row" }, tenant.name),
        ...names.map((name) => el("td", { class: "number" }, figure(name, tenant.figures.find(([each]) => each === name)?.[1] ?? null))))))) : el("p", { class: "muted" }, "None has sent anything lately."));
  }

  /** @param {[string, number|null][]} reasons */
  showReasons(reasons) {
    const found = reasons.filter(([, value]) => value).sort((one, other) => (other[1] ?? 0) - (one[1] ?? 0)).slice(0, REASONS_SHOWN);
    const most = Math.max(1e-12, ...found.map(([, value]) => value ?? 0));
    this.reasonHost.replaceChildren(...found.map(([name, value]) => {
      const bar = el("span", { class: "bar-fill", "aria-hidden": "true" });
      bar.style.setProperty("inline-size", `${((value ?? 0) / most) * 100}%`);
      return el("li", {}, el("span", { class: "bar-name" }, name.replaceAll("_", " ")), el("span", { class: "bar-value" }, `${short(value)}/s`), el("span", { class: "bar-track", "aria-hidden": "true" }, bar));
    }), found.length ? "" : el("li", { class: "muted" }, "None lately."));
  }

  /** @param {Alert[]} alerts */
  showAlerts(alerts) {
    // Those of the severity `info` are for the list of all: one of them always fires, to show that alerts work.
    const grave = alerts.filter((alert) => alert.severity !== "info");
    const firing = grave.filter(isLoud);
    const pending = grave.filter((alert) => alert.state === "pending").length;
    const silenced = alerts.filter((alert) => alert.silenced).length;
    const worst = ["critical", "warning"].find((severity) => firing.some((alert) => alert.severity === severity)) ?? "ok";
    this.tiles.alerts.show(String(firing.length), [pending ? `${pending} pending` : "", silenced ? `${silenced} silenced` : ""].filter(Boolean).join(", ") || (firing.length ? "firing" : "all quiet"));
    set(this.tiles.alerts.root, "data-state", worst);
    this.alertRows.show(sorted(grave).slice(0, ALERTS_SHOWN), (alert) => alert.id);
    set(this.quiet, "hidden", grave.length > 0 && grave.length <= ALERTS_SHOWN);
    say(this.quiet, grave.length ? `${grave.length - ALERTS_SHOWN} more` : "Nothing fires, and nothing is about to.");
  }

  /** @param {Alert} first */
  alertRow(first) {
    const value = el("span", { class: "brief-value" });
    const state = el("span", { class: "alert-state" });
    const root = el("li", { "data-alert": first.alert }, el("a", { href: "#/alerts" }, severityBadge(first.severity), el("strong", {}, first.alert), state), value, labelList(first.labels));
    return {
      root,
      show: (/** @type {Alert} */ alert) => {
        set(root, "data-state", alert.state);
        say(state, alert.silenced ? `${alert.state}, silenced` : alert.state);
        const since = Number.isFinite(alert.sinceMs) ? `for ${lasted(this.api.nowMs() - alert.sinceMs)}` : "";
        say(value, [alert.summary, since].filter(Boolean).join(" · "));
        set(value, "title", against(alert.value, alert.threshold, undefined));
      },
    };
  }
}

/**
 * `p99_seconds` is `p99`, `signals_per_second` is `signals/s`: the unit stands with the figures.
 * @param {string} name
 */
function heading(name) {
  if (name === "dead_lettered_per_second") {
    return "dead/s";
  }
  return name.replace(/_(seconds|ratio)$/, "").replace(/_per_second$/, "/s").replaceAll("_", " ") || name;
}

/**
 * @param {string} name
 * @param {number|null} value
 */
function figure(name, value) {
  if (name.endsWith("_seconds")) {
    return seconds(value);
  }
  return name.endsWith("ratio") && value !== null ? `${short(value * 100)}\u202f%` : short(value);
}

function legend() {
  return el("ul", { class: "map-legend", "aria-label": "Signs" },
    ...["ok", "warning", "critical", "unknown"].map((state) => el("li", {}, stateSign(state, 13), state)));
}
