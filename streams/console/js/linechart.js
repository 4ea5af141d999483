// Lines over time: axes, a legend that hides series, and a crosshair for pointer and keyboard.

import { Rows, el, say, set, svg } from "./dom.js";
import { clock, shown } from "./format.js";
import { lineOf, linear, timeTicks, valueAt, valueAxis } from "./scale.js";

const HEIGHT = 196;
const EDGE = { top: 10, right: 12, bottom: 24, left: 58 };
/** Colours, each with a way of drawing; after the last it begins anew. */
export const LOOKS = 8;
const GAP_STEPS = 2.5;
const JUMP = 10;

/** @typedef {import("./shapes.js").ChartData} ChartData */
/** @typedef {import("./shapes.js").Series} Series */

export class LineChart {
  /**
   * @param {string} title
   * @param {import("./store.js").Box<number|null>} cursor the time that all charts of the page point at
   */
  constructor(title, cursor) {
    this.title = title;
    this.cursor = cursor;
    /** @type {ChartData | null} */
    this.data = null;
    /** @type {Set<string>} */
    this.hidden = new Set();
    /** Which look a legend has: kept, so that a series that comes or goes recolours no other. @type {Map<string, number>} */
    this.looks = new Map();
    this.grid = svg("g", { class: "grid" });
    this.lines = svg("g", { class: "lines" });
    this.cross = svg("g", { class: "cross", visibility: "hidden" });
    this.picture = svg("svg", { class: "plot", height: HEIGHT, "aria-hidden": "true", focusable: "false" }, this.grid, this.lines, this.cross);
    this.stage = el("div", {
      class: "stage", tabindex: 0, role: "slider", "aria-label": `${title}: time. Arrow keys move it`,
      "aria-orientation": "horizontal", onkeydown: (/** @type {KeyboardEvent} */ event) => this.key(event),
      onpointermove: (/** @type {PointerEvent} */ event) => this.point(event),
      onpointerdown: (/** @type {PointerEvent} */ event) => this.point(event),
      onpointerleave: () => this.cursor.set(null), onblur: () => this.cursor.set(null),
    }, this.picture);
    this.list = el("ul", { class: "legend" });
    this.root = el("div", { class: "linechart" }, this.stage, this.list);
    this.rows = new Rows(this.list, (/** @type {Series} */ series) => this.legendRow(series));
    this.watcher = new ResizeObserver(() => this.draw());
    this.watcher.observe(this.stage);
    this.unlook = cursor.look(() => this.drawCross());
  }

  end() {
    this.watcher.disconnect();
    this.unlook();
  }

  /** @param {ChartData} data */
  show(data) {
    // What is nothing all the time stands last: its colours are needed elsewhere.
    const still = (/** @type {Series} */ series) => (series.points.some(([, value]) => value) ? 0 : 1);
    data.series.sort((one, other) => still(one) - still(other));
    this.data = data;
    for (const series of data.series) {
      if (!this.looks.has(series.legend)) {
        this.looks.set(series.legend, this.freeLook());
      }
    }
    this.rows.show(data.series, (series) => series.legend);
    set(this.stage, "aria-valuemin", Math.round(data.fromMs / 1_000));
    set(this.stage, "aria-valuemax", Math.round(data.toMs / 1_000));
    this.draw();
  }

  /** The look that the fewest of the series have. */
  freeLook() {
    const used = new Array(LOOKS).fill(0);
    for (const look of this.looks.values()) {
      used[look] += 1;
    }
    return used.indexOf(Math.min(...used));
  }

  /** @param {Series} series */
  legendRow(series) {
    const name = series.legend;
    const value = el("span", { class: "legend-value" });
    const button = el("button", {
      type: "button", class: "legend-button", "aria-pressed": "true", title: name,
      onclick: () => {
        if (!this.hidden.delete(name)) {
          this.hidden.add(name);
        }
        set(button, "aria-pressed", String(!this.hidden.has(name)));
        this.draw();
      },
    }, svg("svg", { class: `swatch look-${this.looks.get(name)}`, viewBox: "0 0 22 8", width: 22, height: 8, "aria-hidden": "true", focusable: "false" }, svg("path", { d: "M1 4 H21" })),
    el("span", { class: "legend-name" }, name), value);
    const root = el("li", {}, button);
    return {
      root,
      show: (/** @type {Series} */ now) => {
        const data = /** @type {ChartData} */ (this.data);
        const at = this.cursor.value;
        const found = at === null ? now.points.findLast(([, each]) => each !== null)?.[1] : valueAt(now.points, at, data.stepMs * 0.75);
        say(value, shown(found ?? null, data.unit));
      },
    };
  }

  visible() {
    return (this.data?.series ?? []).filter((series) => !this.hidden.has(series.legend));
  }

  draw() {
    const data = this.data;
    const width = Math.floor(this.stage.clientWidth);
    if (!data || width < 80) {
      return;
    }
    set(this.picture, "viewBox", `0 0 ${width} ${HEIGHT}`);
    set(this.picture, "width", width);
    const values = this.visible().flatMap((series) => series.points.flatMap(([, value]) => (value === null ? [] : [value])));
    const axis = valueAxis(values, data.unit);
    const x = linear(data.fromMs, data.toMs, EDGE.left, width - EDGE.right);
    const y = linear(axis.low, axis.high, HEIGHT - EDGE.bottom, EDGE.top);
    this.x = x;
    this.y = y;
    this.width = width;
    this.grid.replaceChildren(...this.axes(data, axis, x, y, width));
    this.lines.replaceChildren(...this.visible().flatMap((series) => this.drawn(series, data, x, y)));
    if (values.length === 0) {
      this.lines.append(svg("text", { class: "nothing", x: (EDGE.left + width - EDGE.right) / 2, y: HEIGHT / 2, "text-anchor": "middle" },
        data.series.length && !this.visible().length ? "All series are hidden" : "No values in this time"));
    }
    this.drawCross();
  }

  /**
   * @param {ChartData} data
   * @param {{low: number, high: number, marks: number[]}} axis
   * @param {(ms: number) => number} x
   * @param {(value: number) => number} y
   * @param {number} width
   */
  axes(data, axis, x, y, width) {
    const long = data.toMs - data.fromMs > 600_000;
    return [
      ...axis.marks.flatMap((mark) => [
        svg("path", { class: mark === 0 ? "rule zero" : "rule", d: `M${EDGE.left} ${y(mark).toFixed(1)} H${width - EDGE.right}` }),
        svg("text", { class: "tick", x: EDGE.left - 8, y: y(mark) + 4, "text-anchor": "end" }, shown(mark, data.unit)),
      ]),
      ...timeTicks(data.fromMs, data.toMs, (width - EDGE.left) / 72).map((ms) =>
        svg("text", { class: "tick", x: Math.min(width - 20, Math.max(EDGE.left, x(ms))), y: HEIGHT - 6, "text-anchor": "middle" }, clock(ms, !long))),
    ];
  }

  /**
   * @param {Series} series
   * @param {ChartData} data
   * @param {(ms: number) => number} x
   * @param {(value: number) => number} y
   */
  drawn(series, data, x, y) {
    const look = `look-${this.looks.get(series.legend)}`;
    const { line, lonely } = lineOf(series.points, x, y, data.stepMs * GAP_STEPS);
    return [
      line && svg("path", { class: `series ${look}`, d: line }),
      ...lonely.map(([at, height]) => svg("circle", { class: `lonely ${look}`, cx: at, cy: height, r: 2.2 })),
    ].filter(Boolean);
  }

  drawCross() {
    const data = this.data;
    if (!data || !this.x || !this.y) {
      return;
    }
    const { x, y } = this;
    const at = this.cursor.value;
    const inside = at !== null && at >= data.fromMs && at <= data.toMs;
    set(this.cross, "visibility", inside ? null : "hidden");
    this.rows.show(data.series, (series) => series.legend);
    if (!inside) {
      set(this.stage, "aria-valuenow", Math.round(data.toMs / 1_000));
      set(this.stage, "aria-valuetext", this.spoken(null));
      return;
    }
    const left = x(at).toFixed(1);
    const label = Math.min((this.width ?? 0) - 32, Math.max(32, x(at)));
    this.cross.replaceChildren(
      svg("path", { class: "cross-line", d: `M${left} ${EDGE.top} V${HEIGHT - EDGE.bottom}` }),
      svg("rect", { class: "cross-chip", x: label - 32, y: HEIGHT - 20, width: 64, height: 19, rx: 5 }),
      svg("text", { class: "cross-time", x: label, y: HEIGHT - 6, "text-anchor": "middle" }, clock(at)),
      ...this.visible().flatMap((series) => {
        const value = valueAt(series.points, at, data.stepMs * 0.75);
        return value === null ? [] : [svg("circle", { class: `cross-dot look-${this.looks.get(series.legend)}`, cx: left, cy: y(value).toFixed(1), r: 3.6 })];
      }),
    );
    set(this.stage, "aria-valuenow", Math.round(at / 1_000));
    set(this.stage, "aria-valuetext", this.spoken(at));
  }

  /**
   * What the legend says, for who hears the page.
   * @param {number|null} at
   */
  spoken(at) {
    const data = /** @type {ChartData} */ (this.data);
    const parts = this.visible().slice(0, 12).map((series) => {
      const value = at === null ? series.points.findLast(([, each]) => each !== null)?.[1] : valueAt(series.points, at, data.stepMs * 0.75);
      return `${series.legend} ${value === null || value === undefined ? "no value" : shown(value, data.unit)}`;
    });
    return [at === null ? "latest" : clock(at), ...parts].join(", ");
  }

  /** @param {PointerEvent} event */
  point(event) {
    const data = this.data;
    if (!data || !this.width) {
      return;
    }
    const left = event.clientX - this.picture.getBoundingClientRect().left;
    const part = (left - EDGE.left) / (this.width - EDGE.left - EDGE.right);
    this.move(data.fromMs + part * (data.toMs - data.fromMs));
  }

  /** @param {number} ms */
  move(ms) {
    const data = /** @type {ChartData} */ (this.data);
    // Points lie on steps; between two of them there is no value.
    const step = Math.round((ms - data.fromMs) / data.stepMs);
    const last = Math.floor((data.toMs - data.fromMs) / data.stepMs);
    this.cursor.set(data.fromMs + Math.min(last, Math.max(0, step)) * data.stepMs);
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const data = this.data;
    if (!data || event.ctrlKey || event.metaKey || event.altKey) {
      return;
    }
    const at = this.cursor.value ?? data.toMs;
    const by = data.stepMs * (event.shiftKey ? JUMP : 1);
    /** @type {Record<string, number>} */
    const to = {
      ArrowLeft: at - by, ArrowDown: at - by, ArrowRight: at + by, ArrowUp: at + by,
      PageDown: at - data.stepMs * JUMP, PageUp: at + data.stepMs * JUMP, Home: data.fromMs, End: data.toMs,
    };
    if (event.key === "Escape") {
      this.cursor.set(null);
    } else if (event.key in to) {
      event.preventDefault();
      this.move(to[event.key]);
    }
  }
}
