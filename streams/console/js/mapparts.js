// What the map is made of: a node with its figures, an edge that moves, a state's sign.

import { say, set, svg } from "./dom.js";
import { seconds, short } from "./format.js";

const DASH = 16;
export const STATES = { ok: "ok", warning: "warning", critical: "critical", unknown: "unknown" };
export const KINDS = { process: "process", hop: "hop", topic: "topic" };

/** @typedef {import("./shapes.js").MapNode} MapNode */
/** @typedef {import("./places.js").Place} Place */

/**
 * A state's sign: a shape for each, so that no colour is needed to tell them apart.
 * @param {string} state
 * @param {number} size
 */
export function stateSign(state, size = 14) {
  const sign = svg("svg", { class: `sign sign-${state}`, viewBox: "0 0 16 16", width: size, height: size, "aria-hidden": "true", focusable: "false" });
  sign.append(...stateShapes(state));
  return sign;
}

/** @param {string} state */
function stateShapes(state) {
  switch (state) {
    case "ok":
      return [svg("circle", { class: "shape", cx: 8, cy: 8, r: 7 }), svg("path", { class: "mark", d: "M4.8 8.2 L7.1 10.5 L11.3 5.9" })];
    case "warning":
      return [svg("path", { class: "shape", d: "M8 1.2 L15.2 14.4 H0.8 Z" }), svg("path", { class: "mark", d: "M8 6 V9.6 M8 11.9 V12" })];
    case "critical":
      return [svg("path", { class: "shape", d: "M5 1 H11 L15 5 V11 L11 15 H5 L1 11 V5 Z" }), svg("path", { class: "mark", d: "M5.4 5.4 L10.6 10.6 M10.6 5.4 L5.4 10.6" })];
    default:
      return [svg("circle", { class: "shape hollow", cx: 8, cy: 8, r: 6.4 }), svg("path", { class: "mark", d: "M8 8 V8.1 M4.9 8 V8.1 M11.1 8 V8.1" })];
  }
}

/**
 * A node's figures in words.
 * @param {MapNode} node
 */
function spoken(node) {
  const { perSecond, lag, lagSeconds, p99Seconds, deadPerSecond } = node.figures;
  return [
    `${node.title}, ${KINDS[node.kind]}, ${STATES[node.state]}`,
    perSecond === null ? "" : `${short(perSecond)} per second`,
    lag === null ? "" : `${short(lag)} waiting`,
    lagSeconds === null ? "" : `${seconds(lagSeconds)} behind`,
    p99Seconds === null ? "" : `99th percentile ${seconds(p99Seconds)}`,
    deadPerSecond ? `${short(deadPerSecond)} dead letters per second` : "",
  ].filter(Boolean).join(", ");
}

/**
 * @param {MapNode} node
 * @returns {{figure: string, lag: string, p99: string, dead: string}}
 */
function written(node) {
  const { perSecond, lag, lagSeconds, p99Seconds, deadPerSecond } = node.figures;
  const behind = lag === null ? lagSeconds !== null && `lag ${seconds(lagSeconds)}` : `lag ${short(lag)}`;
  return {
    figure: perSecond === null ? "" : `${short(perSecond)}/s`,
    lag: behind || "",
    p99: p99Seconds === null ? "" : `p99 ${seconds(p99Seconds)}`,
    dead: deadPerSecond ? `${short(deadPerSecond)}/s dead` : "",
  };
}

/** @param {number|null} perSecond */
const strokeOf = (perSecond) => (perSecond && perSecond > 0 ? Math.min(8, 1.6 + 1.5 * Math.log10(1 + perSecond)) : 1.4);

export class EdgeView {
  /** @param {string} path */
  constructor(path) {
    this.line = svg("path", { class: "edge", d: path });
    this.flow = svg("path", { class: "flow", d: path });
    this.root = svg("g", {}, this.line, this.flow);
    this.speed = 0;
  }

  /** @param {number|null} perSecond */
  show(perSecond) {
    const width = strokeOf(perSecond);
    this.line.style.setProperty("stroke-width", `${width.toFixed(1)}px`);
    this.flow.style.setProperty("stroke-width", `${Math.max(2, width * 0.55).toFixed(1)}px`);
    // In steps: a new duration makes the motion jump, and a rate always changes a little.
    const speed = perSecond && perSecond > 0 ? Math.max(1, Math.round(2 * Math.log10(1 + perSecond))) : 0;
    if (speed !== this.speed) {
      this.speed = speed;
      this.flow.style.setProperty("animation-duration", `${(DASH / (8 + 9 * speed)).toFixed(2)}s`);
      set(this.root, "class", speed ? "moves" : "rests");
    }
    set(this.root, "data-rate", perSecond === null ? "" : short(perSecond));
  }
}

export class NodeView {
  /**
   * @param {MapNode} node
   * @param {Place} place
   * @param {string} href
   * @param {boolean} narrow
   */
  constructor(node, place, href, narrow) {
    this.narrow = narrow;
    this.state = "";
    const size = narrow ? 13 : 15;
    const left = (narrow ? 8 : 14) + (node.kind === "topic" ? (narrow ? 2 : 4) : 0);
    // A tube's front and an arrow's tip take room on the right.
    const right = place.width - (narrow ? 7 : 12) - (node.kind === "process" ? 0 : narrow ? 9 : 13);
    this.room = right - left;
    this.size = size;
    this.title = svg("text", { class: "node-title", x: left, y: narrow ? 20 : 22 });
    this.figure = svg("text", { class: "node-figure", x: left, y: narrow ? 39 : 45 });
    this.more = svg("text", { class: "node-more", x: left, y: narrow ? 55 : 64 });
    this.last = svg("text", { class: narrow ? "node-more" : "node-dead", x: left, y: narrow ? 70 : 82 });
    this.sign = svg("g", { class: "node-sign", transform: `translate(${right - size} ${narrow ? 45 : 10})` });
    this.body = svg("g", {}, this.title, this.sign, this.figure, this.more, this.last);
    this.hint = svg("title");
    this.root = svg("a", { class: `node node-${node.kind}`, href, "data-node": node.id, transform: `translate(${place.x} ${place.y})` },
      this.hint, outline(node.kind, place), this.body);
  }

  /** @param {MapNode} node */
  show(node) {
    const { figure, lag, p99, dead } = written(node);
    const words = spoken(node);
    set(this.root, "aria-label", words);
    say(this.hint, words);
    if (node.state !== this.state) {
      this.state = node.state;
      set(this.root, "data-state", node.state);
      this.sign.replaceChildren(stateSign(node.state, this.size));
    }
    fit(this.title, node.title, this.room + (this.narrow ? 8 : -this.size - 6));
    fit(this.figure, figure, this.room);
    const none = figure || lag || p99 ? "" : "no figures";
    if (this.narrow) {
      fit(this.more, lag || p99 || none, this.room - this.size - 2);
      fit(this.last, lag ? p99 : "", this.room);
    } else {
      fit(this.more, [lag, p99].filter(Boolean).join(" · ") || none, this.room);
      fit(this.last, dead, this.room);
      // Without its last line it stands in the middle.
      set(this.body, "transform", dead ? null : "translate(0 7)");
    }
  }
}

/**
 * Each kind has its outline: a process is a box, a hop a box with an arrow's ends, a topic a tube that records lie in.
 * @param {"process"|"hop"|"topic"} kind
 * @param {Place} place
 */
function outline(kind, { width, height }) {
  const group = svg("g", { class: "outline" });
  if (kind === "hop") {
    const tip = 9;
    group.append(svg("path", { class: "box", d: `M6 0 H${width - tip} L${width} ${height / 2} L${width - tip} ${height} H6 Q0 ${height} 0 ${height - 6} V6 Q0 0 6 0 Z` }));
  } else if (kind === "topic") {
    const cap = 9;
    group.append(
      svg("path", { class: "box", d: `M${cap} 0 H${width - cap} A${cap} ${height / 2} 0 0 1 ${width - cap} ${height} H${cap} A${cap} ${height / 2} 0 0 1 ${cap} 0 Z` }),
      svg("path", { class: "cap", d: `M${width - cap} 0 A${cap} ${height / 2} 0 0 0 ${width - cap} ${height}` }),
    );
  } else {
    group.append(svg("rect", { class: "box", width, height, rx: 10 }), svg("rect", { class: "bar", x: 0, y: 14, width: 3, height: height - 28, rx: 1.5 }));
  }
  return group;
}

/**
 * Write a text as far as there is room.
 * @param {SVGTextElement & {fitted?: string}} element
 * @param {string} text
 * @param {number} room
 */
function fit(element, text, room) {
  if (element.fitted === text) {
    return;
  }
  element.fitted = text;
  say(element, text);
  if (!element.isConnected || element.getComputedTextLength() <= room) {
    return;
  }
  // By halves: each look at a length makes the browser lay out anew.
  let [fits, length] = [1, text.length];
  while (length - fits > 1) {
    const middle = (fits + length) >> 1;
    say(element, `${text.slice(0, middle)}…`);
    if (element.getComputedTextLength() > room) {
      length = middle;
    } else {
      fits = middle;
    }
  }
  say(element, `${text.slice(0, fits)}…`);
}
