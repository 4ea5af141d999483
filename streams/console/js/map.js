// The pipeline as a picture: what flows where, how fast, and what is wrong. Nodes are links to their charts.

import { el, set, svg } from "./dom.js";
import { seconds, short } from "./format.js";
import { layered } from "./layout.js";
import { EdgeView, KINDS, NodeView, STATES } from "./mapparts.js";
import { isNarrow, pathAcross, pathDown, placesNarrow, placesWide } from "./places.js";

/** @typedef {import("./shapes.js").PipelineMap} PipelineMap */

export class PipelineView {
  /** @param {(id: string) => string} hrefOf where a node leads */
  constructor(hrefOf) {
    this.hrefOf = hrefOf;
    this.edgesHost = svg("g", { class: "edges", "aria-hidden": "true" });
    this.nodesHost = svg("g", { class: "nodes" });
    this.picture = svg("svg", { class: "map", height: 0, role: "group", "aria-label": "Map of the pipeline. Each node is a link to its charts." }, this.edgesHost, this.nodesHost);
    this.tableBody = el("tbody");
    this.root = el("div", { class: "map-box" }, this.picture);
    this.table = el("details", { class: "as-table" }, el("summary", {}, "The map as a table"),
      el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "The map as a table" },
        el("table", {}, el("thead", {}, el("tr", {}, ...["Node", "Kind", "State", "Per second", "Lag", "Behind", "p99", "Dead letters"].map((name, index) => el("th", { scope: "col", class: index > 2 && "number" }, name)))), this.tableBody)));
    /** @type {PipelineMap | null} */
    this.map = null;
    this.drawn = "";
    /** @type {Map<string, NodeView>} */
    this.nodes = new Map();
    /** @type {Map<string, EdgeView>} */
    this.edges = new Map();
    this.watcher = new ResizeObserver(() => this.draw());
    this.watcher.observe(this.root);
  }

  end() {
    this.watcher.disconnect();
  }

  /** @param {PipelineMap} map */
  show(map) {
    this.map = map;
    this.draw();
    this.tableBody.replaceChildren(...map.nodes.map((node) => el("tr", {},
      el("th", { scope: "row" }, node.title), el("td", {}, KINDS[node.kind]), el("td", {}, STATES[node.state]),
      el("td", { class: "number" }, short(node.figures.perSecond)), el("td", { class: "number" }, short(node.figures.lag)), el("td", { class: "number" }, seconds(node.figures.lagSeconds)),
      el("td", { class: "number" }, seconds(node.figures.p99Seconds)), el("td", { class: "number" }, node.figures.deadPerSecond === null ? "–" : `${short(node.figures.deadPerSecond)}/s`))));
  }

  draw() {
    const map = this.map;
    const width = Math.floor(this.root.clientWidth);
    if (!map || width < 100) {
      return;
    }
    // Places change with the graph and the page's width only: between, what moves are numbers.
    const shape = JSON.stringify([width, map.nodes.map((node) => [node.id, node.kind, node.title]), map.edges.map((edge) => [edge.from, edge.to])]);
    if (shape !== this.drawn) {
      this.drawn = shape;
      this.place(map, width);
    }
    for (const node of map.nodes) {
      this.nodes.get(node.id)?.show(node);
    }
    for (const edge of map.edges) {
      this.edges.get(`${edge.from}\u0000${edge.to}`)?.show(edge.perSecond);
    }
  }

  /**
   * @param {PipelineMap} map
   * @param {number} width
   */
  place(map, width) {
    const focused = [...this.nodes].find(([, view]) => view.root === document.activeElement)?.[0];
    const found = layered(map.nodes.map((node) => node.id), map.edges);
    const narrow = isNarrow(found, width);
    const { places, height } = narrow ? placesNarrow(found, width) : placesWide(found, width);
    set(this.picture, "viewBox", `0 0 ${width} ${height}`);
    set(this.picture, "height", height);
    set(this.picture, "class", narrow ? "map narrow" : "map");
    this.nodes = new Map();
    this.edges = new Map();
    for (const edge of map.edges) {
      const way = (narrow ? [edge.from, edge.to] : found.ways.get(edge) ?? [edge.from, edge.to]).map((id) => places.get(id));
      const path = narrow ? pathDown(way, places.values(), width) : pathAcross(way, height);
      if (path) {
        this.edges.set(`${edge.from}\u0000${edge.to}`, new EdgeView(path));
      }
    }
    // In the flow's order, so that Tab follows it.
    const rank = (/** @type {string} */ id) => {
      const place = places.get(id);
      return place ? (narrow ? place.y * width + place.x : place.x * height + place.y) : Infinity;
    };
    const sorted = [...map.nodes].sort((one, other) => rank(one.id) - rank(other.id));
    for (const node of sorted) {
      const place = places.get(node.id);
      if (place) {
        this.nodes.set(node.id, new NodeView(node, place, this.hrefOf(node.id), narrow));
      }
    }
    this.edgesHost.replaceChildren(...[...this.edges.values()].map((view) => view.root));
    this.nodesHost.replaceChildren(...[...this.nodes.values()].map((view) => view.root));
    this.nodes.get(focused ?? "")?.root.focus({ preventScroll: true });
  }
}
