// The other shapes of a panel: one number, bars, a table, heat; and every panel's values as a table to read.

import { el, say, set, svg } from "./dom.js";
import { clock, shown } from "./format.js";
import { lineOf, linear } from "./scale.js";

export const ROWS_MAX = 60;
const SPARK = { width: 240, height: 44 };
const HEAT = { cell: 14, left: 58, columns: 120 };

/** @typedef {import("./shapes.js").ChartData} ChartData */
/** @typedef {import("./shapes.js").Series} Series */

/**
 * The last value that a series has.
 * @param {Series} series
 */
const latest = (series) => series.points.findLast(([, value]) => value !== null)?.[1] ?? null;

const NUMBERS_MAX = 8;

/** One number for each series, with the way it came: large if it is the only one, else the greatest of them as a list. */
export class NumberPanel {
  constructor() {
    this.root = el("div", { class: "numbers" });
  }

  end() {}

  /** @param {ChartData} data */
  show(data) {
    const sorted = [...data.series].sort((one, other) => (latest(other) ?? -Infinity) - (latest(one) ?? -Infinity));
    set(this.root, "class", sorted.length > 1 ? "numbers several" : "numbers");
    this.root.replaceChildren(...sorted.slice(0, NUMBERS_MAX).map((series) => {
      const values = series.points.flatMap(([, value]) => (value === null ? [] : [value]));
      const x = linear(data.fromMs, data.toMs, 2, SPARK.width - 2);
      const y = linear(Math.min(0, ...values), Math.max(0, ...values) || 1, SPARK.height - 3, 3);
      const { line } = lineOf(series.points, x, y, data.stepMs * 2.5);
      return el("div", { class: "number-one" },
        el("span", { class: "number-name" }, series.legend),
        el("span", { class: "number-value" }, shown(latest(series), data.unit)),
        svg("svg", { class: "spark", viewBox: `0 0 ${SPARK.width} ${SPARK.height}`, preserveAspectRatio: "none", "aria-hidden": "true", focusable: "false" }, svg("path", { d: line || "M0 0" })));
    }), sorted.length > NUMBERS_MAX ? el("p", { class: "muted" }, `${sorted.length - NUMBERS_MAX} more stand in the table.`)
      : sorted.length ? "" : el("p", { class: "muted" }, "No values in this time"));
  }
}

/** The last values beside each other. */
export class BarsPanel {
  constructor() {
    this.root = el("ul", { class: "bars" });
  }

  end() {}

  /** @param {ChartData} data */
  show(data) {
    const sorted = data.series.map((series) => ({ series, value: latest(series) }))
      .sort((one, other) => (other.value ?? -Infinity) - (one.value ?? -Infinity));
    const most = Math.max(1e-12, ...sorted.map(({ value }) => value ?? 0));
    this.root.replaceChildren(...sorted.map(({ series, value }) => {
      const bar = el("span", { class: "bar-fill", "aria-hidden": "true" });
      bar.style.setProperty("inline-size", `${Math.max(0, Math.min(100, ((value ?? 0) / most) * 100))}%`);
      return el("li", {}, el("span", { class: "bar-name" }, series.legend), el("span", { class: "bar-value" }, shown(value, data.unit)), el("span", { class: "bar-track", "aria-hidden": "true" }, bar));
    }), data.series.length ? "" : el("li", { class: "muted" }, "No values now"));
  }
}

/** The last values as a table. */
export class TablePanel {
  constructor() {
    this.root = el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Values" });
  }

  end() {}

  /** @param {ChartData} data */
  show(data) {
    this.root.replaceChildren(el("table", {},
      el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Series"), el("th", { scope: "col" }, "Value"))),
      el("tbody", {}, ...data.series.map((series) => el("tr", {}, el("th", { scope: "row" }, series.legend), el("td", { class: "number" }, shown(latest(series), data.unit)))))));
  }
}

/** A row for each series, the darker the more. */
export class HeatPanel {
  constructor() {
    this.root = el("div", { class: "scroll heat", tabindex: 0, role: "region", "aria-label": "Heat map; its values stand in the table below" });
  }

  end() {}

  /** @param {ChartData} data */
  show(data) {
    const rows = [...data.series].reverse();
    const step = Math.max(1, Math.ceil(Math.max(0, ...rows.map((series) => series.points.length)) / HEAT.columns));
    const most = Math.max(1e-12, ...rows.flatMap((series) => series.points.map(([, value]) => value ?? 0)));
    const columns = Math.ceil(Math.max(0, ...rows.map((series) => series.points.length)) / step);
    const cells = rows.flatMap((series, row) => [
      svg("text", { class: "tick", x: HEAT.left - 6, y: row * HEAT.cell + 11, "text-anchor": "end" }, series.legend.slice(0, 10)),
      ...series.points.filter((_, index) => index % step === 0).flatMap(([, value], column) => {
        const cell = value && svg("rect", { class: "cell", x: HEAT.left + column * 5, y: row * HEAT.cell, width: 5, height: HEAT.cell - 1 });
        cell?.style.setProperty("fill-opacity", String(0.08 + 0.92 * Math.min(1, (value ?? 0) / most)));
        return cell ? [cell] : [];
      }),
    ]);
    const [width, height] = [HEAT.left + columns * 5 + 2, rows.length * HEAT.cell];
    this.root.replaceChildren(svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true", focusable: "false" }, ...cells));
  }
}

/** What a chart shows, to be read: the newest first. Made when somebody opens it, not before. */
export class ValuesTable {
  /** @param {string} title */
  constructor(title) {
    this.body = el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": `Values of ${title}` });
    this.root = el("details", { class: "as-table", ontoggle: () => this.draw() }, el("summary", {}, "Values as a table"), this.body);
    /** @type {ChartData | null} */
    this.data = null;
  }

  /** @param {ChartData} data */
  show(data) {
    this.data = data;
    this.draw();
  }

  draw() {
    const data = this.data;
    if (!data || !this.root.open) {
      return;
    }
    const times = [...new Set(data.series.flatMap((series) => series.points.map(([ms]) => ms)))].sort((one, other) => other - one);
    const every = Math.ceil(times.length / ROWS_MAX);
    const rows = times.filter((_, index) => index % Math.max(1, every) === 0);
    const columns = data.series.map((series) => new Map(series.points));
    this.body.replaceChildren(el("table", {},
      el("caption", {}, every > 1 ? `Each ${every}th point; the newest first` : "The newest first"),
      el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Time"), ...data.series.map((series) => el("th", { scope: "col", class: "number" }, series.legend)))),
      el("tbody", {}, ...rows.map((ms) => el("tr", {}, el("th", { scope: "row" }, clock(ms)),
        ...columns.map((column) => el("td", { class: "number" }, shown(column.get(ms) ?? null, data.unit))))))));
  }
}

/**
 * A note that is there only when it says something.
 * @param {Element} element
 * @param {string} text
 */
export function note(element, text) {
  say(element, text);
  set(element, "hidden", text === "");
}
