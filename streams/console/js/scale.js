// From values to places: scales, round ticks, paths with gaps.

/**
 * Round numbers between two ends, about as many as are wanted.
 * @param {number} low
 * @param {number} high
 * @param {number} count
 * @param {number[]} [steps] what a step may be, times a power of ten
 * @returns {number[]}
 */
export function ticks(low, high, count, steps = [1, 2, 2.5, 5, 10]) {
  const span = high - low;
  if (!(span > 0) || !Number.isFinite(span)) {
    return [low];
  }
  const rough = span / Math.max(1, count);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = (steps.find((each) => each * power >= rough * 0.999) ?? 10) * power;
  const found = [];
  for (let index = Math.ceil(low / step - 1e-9); index * step <= high + step * 1e-9 && found.length < 50; index += 1) {
    found.push(Number((index * step).toPrecision(12)));
  }
  return found;
}

const TIME_STEPS_S = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400];

/**
 * Round times of day between two ends.
 * @param {number} fromMs
 * @param {number} toMs
 * @param {number} count
 * @returns {number[]}
 */
export function timeTicks(fromMs, toMs, count) {
  const rough = (toMs - fromMs) / 1_000 / Math.max(1, count);
  const stepMs = (TIME_STEPS_S.find((each) => each >= rough) ?? 86_400) * 1_000;
  // Round here, not in Greenwich.
  const shiftMs = new Date(fromMs).getTimezoneOffset() * 60_000;
  const found = [];
  for (let at = Math.ceil((fromMs - shiftMs) / stepMs) * stepMs + shiftMs; at <= toMs && found.length < 50; at += stepMs) {
    found.push(at);
  }
  return found;
}

/**
 * The ends of a value axis: from 0, unless something is below it, to a round number above all.
 * @param {number[]} values
 * @param {string} unit
 * @returns {{low: number, high: number, marks: number[]}}
 */
export function valueAxis(values, unit) {
  let [low, high] = [0, 0];
  for (const value of values) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  if (high === low) {
    high = low + (unit === "percent" ? 100 : 1);
  }
  const steps = unit === "bytes" ? [1.024, 2.048, 5.12, 10.24] : undefined;
  const marks = ticks(low, high * 1.02, 4, steps);
  const step = marks.length > 1 ? marks[1] - marks[0] : high;
  const top = (marks.at(-1) ?? high) < high * 0.999 ? (marks.at(-1) ?? 0) + step : Math.max(high, marks.at(-1) ?? high);
  return { low, high: top, marks: top > (marks.at(-1) ?? 0) * 1.001 ? [...marks, top] : marks };
}

/**
 * @param {number} low
 * @param {number} high
 * @param {number} from
 * @param {number} to
 * @returns {(value: number) => number}
 */
export function linear(low, high, from, to) {
  const factor = high === low ? 0 : (to - from) / (high - low);
  return (value) => from + (value - low) * factor;
}

/**
 * A line through points; where there is no value, or none for longer than a few steps, it has a gap.
 * @param {[number, number|null][]} points
 * @param {(ms: number) => number} x
 * @param {(value: number) => number} y
 * @param {number} gapMs
 * @returns {{line: string, lonely: [number, number][]}} `lonely`: values between two gaps, which no line shows
 */
export function lineOf(points, x, y, gapMs) {
  let line = "";
  /** @type {[number, number][]} */
  const lonely = [];
  /** @type {[number, number][]} */
  let run = [];
  const flush = () => {
    if (run.length === 1) {
      lonely.push(run[0]);
    } else if (run.length > 1) {
      line += `M${run.map(([at, height]) => `${at.toFixed(1)} ${height.toFixed(1)}`).join("L")}`;
    }
    run = [];
  };
  let lastMs = Number.NaN;
  for (const [ms, value] of points) {
    if (value === null || ms - lastMs > gapMs) {
      flush();
    }
    if (value !== null) {
      run.push([x(ms), y(value)]);
      lastMs = ms;
    }
  }
  flush();
  return { line, lonely };
}

/**
 * The value of a series nearest to a time, if one is near.
 * @param {[number, number|null][]} points in the order of time
 * @param {number} ms
 * @param {number} nearMs
 * @returns {number | null}
 */
export function valueAt(points, ms, nearMs) {
  let [low, high] = [0, points.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (points[middle][0] < ms) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  let best = points[low];
  const before = points[low - 1];
  if (before && (!best || ms - before[0] < best[0] - ms)) {
    best = before;
  }
  return best && Math.abs(best[0] - ms) <= nearMs ? best[1] : null;
}
