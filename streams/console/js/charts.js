// The charts: which there are, about what, over which time.

import { Rows, byId, el, say, set } from "./dom.js";
import { LineChart } from "./linechart.js";
import { BarsPanel, HeatPanel, NumberPanel, TablePanel, ValuesTable, note } from "./panels.js";
import { chartOf, chartsOf } from "./shapes.js";
import { Box, kept } from "./store.js";

const RANGES = [
  { minutes: 5, title: "5 min", everyMs: 5_000 },
  { minutes: 15, title: "15 min", everyMs: 10_000 },
  { minutes: 60, title: "1 h", everyMs: 30_000 },
  { minutes: 360, title: "6 h", everyMs: 60_000 },
];
const LIST_MS = 60_000;
const RANGE_NAME = "hopline.range";

/** @typedef {import("./shapes.js").ChartHead} ChartHead */

/** @param {string} text */
const words = (text) => ` ${text.toLowerCase().replace(/[^a-z0-9]+/g, " ").trim()} `;

/**
 * The charts about a node of the map: those that name it in their group, id, title or questions. Of a topic without any
 * those that tell topics apart.
 * @param {ChartHead[]} charts
 * @param {string} about
 * @param {string} kind
 */
function chartsAbout(charts, about, kind) {
  const name = words(about);
  const named = charts.filter((chart) => [chart.group, chart.id, chart.title].some((text) => words(text).includes(name))
    || chart.queries.some((query) => query.expr.includes(`"${about}"`)));
  return named.length || kind !== "topic" ? named : charts.filter((chart) => chart.queries.some((query) => query.legend.includes("topic")));
}

export class ChartsView {
  /**
   * @param {import("./polling.js").Poller} poller
   * @param {import("./store.js").Box<import("./shapes.js").PipelineMap|null>} map
   */
  constructor(poller, map) {
    this.poller = poller;
    this.map = map;
    const storage = kept(() => sessionStorage);
    const minutes = Number(storage.get(RANGE_NAME));
    this.range = RANGES.find((each) => each.minutes === minutes) ?? RANGES[1];
    this.remember = () => storage.set(RANGE_NAME, String(this.range.minutes));
    this.paused = false;
    this.tenant = "";
    this.about = "";
    /** @type {import("./store.js").Box<number|null>} */
    this.cursor = new Box(null);
    /** @type {ChartHead[] | null} */
    this.heads = null;
    this.groups = el("div", { class: "groups" });
    this.note = el("p", { class: "notice", hidden: true });
    this.pauseButton = el("button", { type: "button", class: "button", id: "pause", "aria-pressed": "false", onclick: () => this.pause() }, "Pause");
    this.aboutBox = el("p", { class: "about", hidden: true });
    this.root = el("section", { class: "view", "aria-labelledby": "charts-title" },
      el("div", { class: "view-head" },
        el("h1", { id: "charts-title" }, "Charts"),
        el("div", { class: "controls" }, this.rangeChoice(), this.tenantForm(), this.pauseButton)),
      this.aboutBox, this.note, this.groups);
    this.rows = new Rows(this.groups, (/** @type {Group} */ group) => new GroupView(group, this));
    // Opened by its address, this view is there before the map is.
    this.unlook = map.look((found) => found && this.about && this.show());
    this.unask = poller.add({
      name: "charts", everyMs: () => LIST_MS, path: () => "v1/charts", rank: 1,
      take: (answer) => {
        this.heads = chartsOf(answer);
        this.show();
      },
      fail: (error) => this.heads ?? note(this.note, error.message),
    });
  }

  end() {
    this.unask();
    this.unlook();
    this.rows.show([], () => "");
  }

  rangeChoice() {
    return el("fieldset", { class: "choice" }, el("legend", { class: "unseen" }, "Time range"),
      ...RANGES.map((each) => el("label", {},
        el("input", {
          type: "radio", name: "range", value: each.minutes, checked: each === this.range,
          onchange: () => this.take(each),
        }), el("span", {}, each.title))));
  }

  tenantForm() {
    const input = el("input", { id: "tenant", list: "tenant-names", maxlength: 128, placeholder: "all tenants", autocomplete: "off", spellcheck: "false" });
    return el("form", {
      class: "inline-form", role: "search",
      onsubmit: (/** @type {Event} */ event) => {
        event.preventDefault();
        this.tenant = input.value.trim();
        this.refresh();
      },
    }, el("label", { class: "unseen", for: "tenant" }, "Tenant"), input,
    el("button", { type: "submit", class: "button" }, "Show"));
  }

  /** @param {typeof RANGES[number]} range */
  take(range) {
    this.range = range;
    this.remember();
    this.cursor.set(null);
    this.refresh();
  }

  /** The next range, and after the last the first. */
  nextRange() {
    const next = RANGES[(RANGES.indexOf(this.range) + 1) % RANGES.length];
    const input = /** @type {HTMLInputElement} */ (this.root.querySelector(`input[name=range][value="${next.minutes}"]`));
    input.checked = true;
    this.take(next);
    say(byId("said"), `Time range ${next.title}`);
  }

  pause() {
    this.paused = !this.paused;
    set(this.pauseButton, "aria-pressed", String(this.paused));
    say(this.pauseButton, this.paused ? "Go on" : "Pause");
    say(byId("said"), this.paused ? "Charts are paused" : "Charts go on");
    if (!this.paused) {
      this.poller.wake();
    }
  }

  refresh() {
    for (const row of this.rows.rows.values()) {
      /** @type {GroupView} */ (row).refresh();
    }
  }

  /** @param {string} about the node that was chosen, or nothing */
  lead(about) {
    this.about = about;
    this.show();
  }

  show() {
    if (!this.heads) {
      return;
    }
    const node = this.map.value?.nodes.find((each) => each.id === this.about);
    const chosen = this.about ? chartsAbout(this.heads, this.about, node?.kind ?? "") : this.heads;
    set(this.aboutBox, "hidden", this.about === "");
    this.aboutBox.replaceChildren(
      chosen.length ? "Charts about " : "No chart is about ", el("strong", {}, node?.title ?? this.about),
      chosen.length ? ". " : " alone, so here are all. ", el("a", { href: "#/charts" }, "Show all charts"));
    note(this.note, this.heads.length ? "" : "The watch has no charts.");
    const shown = chosen.length ? chosen : this.heads;
    /** @type {Map<string, ChartHead[]>} */
    const groups = new Map();
    for (const chart of shown) {
      groups.set(chart.group, [...(groups.get(chart.group) ?? []), chart]);
    }
    this.rows.show([...groups].map(([name, charts]) => ({ name, charts })), (group) => group.name);
  }
}

/** @typedef {{name: string, charts: ChartHead[]}} Group */

class GroupView {
  /**
   * @param {Group} group
   * @param {ChartsView} view
   */
  constructor(group, view) {
    this.grid = el("div", { class: "chart-grid" });
    this.root = el("section", { class: "group", "aria-label": group.name || "Charts" }, group.name && el("h2", {}, group.name.replace(/^Hopline:\s*/, "")), this.grid);
    this.rows = new Rows(this.grid, (/** @type {ChartHead} */ head) => new ChartCard(head, view));
  }

  /** @param {Group} group */
  show(group) {
    this.rows.show(group.charts, (chart) => chart.id);
  }

  refresh() {
    for (const row of this.rows.rows.values()) {
      /** @type {ChartCard} */ (row).refresh();
    }
  }

  end() {
    this.rows.show([], () => "");
  }
}

class ChartCard {
  /**
   * @param {ChartHead} head
   * @param {ChartsView} view
   */
  constructor(head, view) {
    this.view = view;
    this.near = false;
    /** Whether what is shown is about another range or tenant; then it is asked for though the charts are paused. */
    this.stale = true;
    this.stepMs = 0;
    this.shape = "";
    /** @type {LineChart | NumberPanel | BarsPanel | TablePanel | HeatPanel | null} */
    this.panel = null;
    this.table = new ValuesTable(head.title);
    this.note = el("p", { class: "card-note", hidden: true, role: "status" });
    this.body = el("div", { class: "chart-body" });
    this.root = el("figure", { class: "card chart", "data-chart": head.id },
      el("figcaption", {}, el("h3", {}, head.title), head.description && el("p", { class: "muted" }, head.description)),
      this.body, this.note, this.table.root);
    this.head = head;
    // Only what somebody sees is asked for.
    this.watcher = new IntersectionObserver((entries) => {
      this.near = entries.at(-1)?.isIntersecting ?? false;
      view.poller.wake();
    }, { rootMargin: "200px" });
    this.watcher.observe(this.root);
    this.task = {
      name: head.id,
      everyMs: () => Math.max(view.range.everyMs, this.stepMs),
      path: () => (this.near && (this.stale || !view.paused) ? `v1/charts/${encodeURIComponent(head.id)}` : null),
      query: () => ({ minutes: view.range.minutes, tenant: view.tenant }),
      take: (/** @type {unknown} */ answer) => this.take(answer),
      fail: (/** @type {Error} */ error) => note(this.note, error.message),
      rank: 6,
    };
    this.unask = view.poller.add(this.task);
  }

  end() {
    this.unask();
    this.watcher.disconnect();
    this.panel?.end();
  }

  /** @param {ChartHead} head */
  show(head) {
    this.head = head;
  }

  refresh() {
    this.stale = true;
    this.view.poller.now(this.task);
  }

  /** @param {unknown} answer */
  take(answer) {
    const data = chartOf(answer);
    this.stale = false;
    this.stepMs = Math.min(data.stepMs, LIST_MS);
    data.unit ||= this.head.unit;
    const shape = data.shape || this.head.shape;
    if (!this.panel || shape !== this.shape) {
      this.panel?.end();
      this.shape = shape;
      this.panel = panelOf(shape, this.head.title, this.view.cursor);
      this.body.replaceChildren(this.panel.root);
    }
    this.panel.show(data);
    this.table.show(data);
    note(this.note, data.leftOut ? `${data.leftOut} more series are left out. Choose a tenant to see fewer.` : "");
  }
}

/**
 * @param {string} shape as `dashboards/row.py` names them; lines if it is another
 * @param {string} title
 * @param {import("./store.js").Box<number|null>} cursor
 */
function panelOf(shape, title, cursor) {
  switch (shape) {
    case "stat":
      return new NumberPanel();
    case "bargauge":
      return new BarsPanel();
    case "table":
      return new TablePanel();
    case "heatmap":
      return new HeatPanel();
    default:
      return new LineChart(title, cursor);
  }
}
