// Where the nodes of a graph stand: in layers along the flow, edges as straight as can be. Knows no page and no names.

const SWEEPS = 6;
/** The part of a row that an edge takes which passes a layer. */
const PASSING = 0.4;

/** @typedef {{id: string, layer: number, at: number, order: number, dummy: boolean}} Spot */
/** @typedef {{from: string, to: string}} Edge */
/** @typedef {{spots: Map<string, Spot>, layers: Spot[][], ways: Map<Edge, string[]>, loops: Set<Edge>, alone: string[]}} Layered */

/**
 * Put nodes into layers: each behind all that lead to it. An edge that goes back is a loop; one that passes layers gets
 * a place of its own in each of them, so that it runs beside the nodes there and not through them.
 * @param {string[]} ids in the order that is kept where nothing speaks against it
 * @param {Edge[]} edges
 * @returns {Layered}
 */
export function layered(ids, edges) {
  const loops = loopsOf(ids, edges);
  const forward = edges.filter((edge) => !loops.has(edge));
  const touched = new Set(edges.flatMap((edge) => [edge.from, edge.to]));
  const alone = ids.filter((id) => !touched.has(id));
  const depth = depths(ids.filter((id) => touched.has(id)), forward);

  /** @type {Map<string, Spot>} */
  const spots = new Map();
  /** @type {Spot[][]} */
  const layers = [];
  const add = (/** @type {string} */ id, /** @type {number} */ layer, /** @type {boolean} */ dummy) => {
    const row = (layers[layer] ??= []);
    const spot = { id, layer, at: row.length, order: row.length, dummy };
    row.push(spot);
    spots.set(id, spot);
  };
  for (const [id, layer] of depth) {
    add(id, layer, false);
  }
  const ways = new Map();
  for (const edge of forward) {
    const way = [edge.from];
    const [first, last] = [depth.get(edge.from) ?? 0, depth.get(edge.to) ?? 0];
    for (let layer = first + 1; layer < last; layer += 1) {
      const id = `${edge.from}\u0000${edge.to}\u0000${layer}`;
      if (!spots.has(id)) {
        add(id, layer, true);
      }
      way.push(id);
    }
    way.push(edge.to);
    ways.set(edge, way);
  }
  // What no edge touches stands where the most room is.
  for (const id of layers.length ? alone : []) {
    add(id, layers.reduce((least, row, layer) => (row.length < layers[least].length ? layer : least), 0), false);
  }
  const found = { spots, layers, ways, loops, alone };
  order(found);
  straighten(found);
  return found;
}

/**
 * The edges that close a circle.
 * @param {string[]} ids
 * @param {Edge[]} edges
 * @returns {Set<Edge>}
 */
function loopsOf(ids, edges) {
  const loops = new Set();
  /** @type {Map<string, "open" | "done">} */
  const seen = new Map();
  const visit = (/** @type {string} */ id) => {
    seen.set(id, "open");
    for (const edge of edges) {
      if (edge.from === id) {
        if (seen.get(edge.to) === "open") {
          loops.add(edge);
        } else if (!seen.has(edge.to)) {
          visit(edge.to);
        }
      }
    }
    seen.set(id, "done");
  };
  const targets = new Set(edges.map((edge) => edge.to));
  for (const id of [...ids.filter((each) => !targets.has(each)), ...ids]) {
    if (!seen.has(id)) {
      visit(id);
    }
  }
  return loops;
}

/**
 * How many steps lead to each node at the most.
 * @param {string[]} ids
 * @param {Edge[]} edges without loops
 * @returns {Map<string, number>}
 */
function depths(ids, edges) {
  /** @type {Map<string, number>} */
  const depth = new Map();
  const of = (/** @type {string} */ id) => {
    let found = depth.get(id);
    if (found === undefined) {
      found = Math.max(0, ...edges.filter((edge) => edge.to === id).map((edge) => of(edge.from) + 1));
      depth.set(id, found);
    }
    return found;
  };
  return new Map(ids.map((id) => [id, of(id)]));
}

/**
 * @param {Layered} found
 * @returns {Map<string, string[][]>} by spot: those before it, and those behind it
 */
function neighbours(found) {
  const near = new Map([...found.spots.keys()].map((id) => [id, /** @type {string[][]} */ ([[], []])]));
  for (const way of found.ways.values()) {
    for (let index = 1; index < way.length; index += 1) {
      near.get(way[index - 1])?.[1].push(way[index]);
      near.get(way[index])?.[0].push(way[index - 1]);
    }
  }
  return near;
}

/**
 * Order each layer by where its neighbours stand, so that few edges cross.
 * @param {Layered} found
 */
function order(found) {
  const near = neighbours(found);
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    const back = sweep % 2;
    for (const row of back ? [...found.layers].reverse() : found.layers) {
      const wish = new Map(row.map((spot) => {
        const others = (near.get(spot.id)?.[back] ?? []).map((id) => found.spots.get(id)?.order ?? 0);
        return [spot, others.length ? others.reduce((sum, each) => sum + each, 0) / others.length : spot.order];
      }));
      row.sort((one, other) => (wish.get(one) ?? 0) - (wish.get(other) ?? 0) || one.order - other.order);
      row.forEach((spot, index) => {
        spot.order = index;
      });
    }
  }
}

/**
 * Move each spot towards the middle of its neighbours, as far as those beside it let it.
 * @param {Layered} found
 */
function straighten(found) {
  const near = neighbours(found);
  for (const row of found.layers) {
    spread(row.map(() => 0), gapsOf(row)).forEach((at, index) => {
      row[index].at = at;
    });
  }
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    const back = sweep % 2;
    for (const row of back ? [...found.layers].reverse() : found.layers) {
      const wish = row.map((spot) => {
        const others = (near.get(spot.id)?.[back] ?? []).map((id) => found.spots.get(id)?.at ?? 0);
        return others.length ? others.reduce((sum, each) => sum + each, 0) / others.length : spot.at;
      });
      spread(wish, gapsOf(row)).forEach((at, index) => {
        row[index].at = at;
      });
    }
  }
  const tops = [...found.spots.values()].map((spot) => spot.at + (spot.dummy ? (1 - PASSING) / 2 : 0));
  const least = tops.length ? Math.min(...tops) : 0;
  for (const spot of found.spots.values()) {
    spot.at -= least;
  }
}

/**
 * How far each of a layer must be from the one before it: a row for a node, less for an edge that only passes.
 * @param {Spot[]} row
 */
function gapsOf(row) {
  const sizes = row.map((spot) => (spot.dummy ? PASSING : 1));
  return sizes.map((size, index) => (index ? (sizes[index - 1] + size) / 2 : 0));
}

/**
 * Places as near to the wished ones as can be, in their order and so far apart: neighbours that push each other move as
 * one block to the middle of what they wish.
 * @param {number[]} wish
 * @param {number[]} gaps each one's distance from the one before it
 * @returns {number[]}
 */
export function spread(wish, gaps) {
  /** @type {number[]} */
  const offsets = [];
  for (const gap of gaps) {
    offsets.push((offsets.at(-1) ?? 0) + gap);
  }
  /** @type {{sum: number, count: number}[]} */
  const blocks = [];
  wish.forEach((each, index) => {
    let block = { sum: each - offsets[index], count: 1 };
    for (let last = blocks.at(-1); last && last.sum / last.count > block.sum / block.count; last = blocks.at(-1)) {
      blocks.pop();
      block = { sum: last.sum + block.sum, count: last.count + block.count };
    }
    blocks.push(block);
  });
  return blocks.flatMap((block) => new Array(block.count).fill(block.sum / block.count)).map((at, index) => at + offsets[index]);
}

/**
 * Rows of at most `most` nodes for a narrow page: the layers from the top, long ones in several rows.
 * @param {Layered} found
 * @param {number} most
 * @returns {string[][]}
 */
export function stacked(found, most) {
  const rows = found.layers.flatMap((layer) => {
    const ids = layer.filter((spot) => !spot.dummy && !found.alone.includes(spot.id)).map((spot) => spot.id);
    const count = Math.ceil(ids.length / most);
    const each = Math.ceil(ids.length / Math.max(1, count));
    return Array.from({ length: count }, (_, index) => ids.slice(index * each, (index + 1) * each));
  });
  for (let index = 0; index < found.alone.length; index += most) {
    rows.push(found.alone.slice(index, index + most));
  }
  return rows;
}
