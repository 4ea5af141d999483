// Where the map's nodes and edges are drawn: beside each other where there is room, else below each other.

import { stacked } from "./layout.js";

const WIDE = { width: 148, height: 92, gapX: 40, gapY: 20, pad: 8 };
const NARROW = { width: 92, height: 80, gapX: 8, gapY: 40, pad: 4 };
const NODE_WIDTH_MAX = 190;
const NARROW_BELOW = 640;

/** @typedef {{x: number, y: number, width: number, height: number}} Place */

/**
 * @param {import("./layout.js").Layered} found
 * @param {number} width
 */
export function isNarrow(found, width) {
  const columns = Math.max(1, found.layers.length);
  return width < NARROW_BELOW || (width - 2 * WIDE.pad - (columns - 1) * WIDE.gapX) / columns < WIDE.width - 24;
}

/**
 * @param {import("./layout.js").Layered} found
 * @param {number} width
 */
export function placesWide(found, width) {
  const columns = Math.max(1, found.layers.length);
  const free = width - 2 * WIDE.pad;
  const nodeWidth = Math.min(NODE_WIDTH_MAX, (free - (columns - 1) * WIDE.gapX) / columns);
  const stepX = columns > 1 ? (free - nodeWidth) / (columns - 1) : 0;
  const stepY = WIDE.height + WIDE.gapY;
  /** @type {Map<string, Place>} */
  const places = new Map();
  let lowest = 0;
  for (const spot of found.spots.values()) {
    const y = WIDE.pad + spot.at * stepY;
    lowest = Math.max(lowest, y + (spot.dummy ? WIDE.height / 2 + WIDE.gapY : WIDE.height));
    places.set(spot.id, spot.dummy
      ? { x: WIDE.pad + spot.layer * stepX, y: y + WIDE.height / 2, width: nodeWidth, height: 0 }
      : { x: WIDE.pad + spot.layer * stepX, y, width: nodeWidth, height: WIDE.height });
  }
  if (!found.layers.length) {
    // No edges at all: side by side.
    const perRow = Math.max(1, Math.floor((free + WIDE.gapX) / (nodeWidth + WIDE.gapX)));
    found.alone.forEach((id, index) => {
      const y = WIDE.pad + Math.floor(index / perRow) * stepY;
      places.set(id, { x: WIDE.pad + (index % perRow) * (nodeWidth + WIDE.gapX), y, width: nodeWidth, height: WIDE.height });
      lowest = Math.max(lowest, y + WIDE.height);
    });
  }
  return { places, height: Math.ceil(lowest + WIDE.pad) };
}

/**
 * @param {import("./layout.js").Layered} found
 * @param {number} width
 */
export function placesNarrow(found, width) {
  const free = width - 2 * NARROW.pad;
  const most = Math.max(1, Math.floor((free + NARROW.gapX) / (NARROW.width + NARROW.gapX)));
  const rows = stacked(found, Math.min(4, most));
  /** @type {Map<string, Place>} */
  const places = new Map();
  rows.forEach((row, index) => {
    const nodeWidth = Math.min(150, (free - (row.length - 1) * NARROW.gapX) / row.length);
    const left = NARROW.pad + (free - row.length * nodeWidth - (row.length - 1) * NARROW.gapX) / 2;
    row.forEach((id, column) => {
      places.set(id, {
        x: left + column * (nodeWidth + NARROW.gapX), y: NARROW.pad + index * (NARROW.height + NARROW.gapY),
        width: nodeWidth, height: NARROW.height,
      });
    });
  });
  return { places, height: Math.max(1, rows.length) * (NARROW.height + NARROW.gapY) - NARROW.gapY + 2 * NARROW.pad };
}

/**
 * From the left to the right, through the places that the edge has in between; a way back runs below.
 * @param {(Place | undefined)[]} way
 * @param {number} height
 * @returns {string}
 */
export function pathAcross(way, height) {
  const [first, last] = [way[0], way.at(-1)];
  if (!first || !last) {
    return "";
  }
  const middle = (/** @type {Place} */ place) => place.y + place.height / 2;
  if (last.x <= first.x) {
    const low = Math.min(height - 2, Math.max(first.y + first.height, last.y + last.height) + 16);
    const [from, to] = [first.x + first.width * 0.7, last.x + last.width * 0.3];
    return `M${from} ${first.y + first.height} C${from} ${low} ${from} ${low} ${(from + to) / 2} ${low} S${to} ${low} ${to} ${last.y + last.height}`;
  }
  let path = `M${first.x + first.width} ${middle(first)}`;
  let [x, y] = [first.x + first.width, middle(first)];
  for (const place of way.slice(1)) {
    if (!place) {
      continue;
    }
    const bend = Math.max(12, (place.x - x) / 2);
    path += ` C${x + bend} ${y} ${place.x - bend} ${middle(place)} ${place.x} ${middle(place)}`;
    [x, y] = [place.x, middle(place)];
    if (place.height === 0) {
      path += ` H${place.x + place.width}`;
      x = place.x + place.width;
    }
  }
  return path;
}

/**
 * From above to below; past other rows beside what stands there.
 * @param {(Place | undefined)[]} way
 * @param {Iterable<Place>} all where nodes stand
 * @param {number} width
 * @returns {string}
 */
export function pathDown(way, all, width) {
  const [first, last] = [way[0], way.at(-1)];
  if (!first || !last) {
    return "";
  }
  const [x, to] = [first.x + first.width / 2, last.x + last.width / 2];
  const down = last.y > first.y;
  const [y, end] = [down ? first.y + first.height : first.y, down ? last.y : last.y + last.height];
  const between = [...all].filter((place) => place.y > Math.min(first.y, last.y) + 1 && place.y < Math.max(first.y, last.y) - 1);
  if (down && between.length) {
    const left = Math.max(5, Math.min(...between.map((place) => place.x)) - 12);
    const right = Math.min(width - 5, Math.max(...between.map((place) => place.x + place.width)) + 12);
    const lane = to < (left + right) / 2 ? left : right;
    const [turn, back] = [y + NARROW.gapY, end - NARROW.gapY];
    return `M${x} ${y} C${x} ${y + 24} ${lane} ${turn - 24} ${lane} ${turn} V${back} C${lane} ${back + 24} ${to} ${end - 24} ${to} ${end}`;
  }
  const bend = Math.max(14, Math.abs(end - y) / 2) * (down ? 1 : -1);
  return `M${x} ${y} C${x} ${y + bend} ${to} ${end - bend} ${to} ${end}`;
}
