// Numbers, times and units as people read them.

const NOTHING = "–";
const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const THIN = "\u202f";

/**
 * A number in three digits or so: 0.0042, 1.25, 87.3, 12.4k.
 * @param {number | null | undefined} value
 * @returns {string}
 */
export function short(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) {
    return NOTHING;
  }
  const size = Math.abs(value);
  const steps = /** @type {[number, string][]} */ ([[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]]);
  for (const [step, letter] of steps) {
    if (size >= step * 0.9995) {
      return digits(value / step) + letter;
    }
  }
  return digits(value);
}

/**
 * @param {number} value
 * @returns {string}
 */
function digits(value) {
  const size = Math.abs(value);
  if (size === 0) {
    return "0";
  }
  if (size < 0.001) {
    return value.toExponential(1);
  }
  if (size < 0.9995) {
    return String(Number(value.toPrecision(3)));
  }
  const text = value.toFixed(size >= 99.95 ? 0 : size >= 9.995 ? 1 : 2);
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}

/**
 * Seconds in the unit that fits: 840 µs, 12 ms, 3.2 s, 5 min, 2 h, 3 d.
 * @param {number | null | undefined} seconds
 * @returns {string}
 */
export function seconds(seconds) {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) {
    return NOTHING;
  }
  const size = Math.abs(seconds);
  if (size === 0) {
    return `0${THIN}s`;
  }
  if (size < 0.0009995) {
    return `${short(seconds * 1e6)}${THIN}µs`;
  }
  if (size < 0.9995) {
    return `${short(seconds * 1e3)}${THIN}ms`;
  }
  if (size < 120) {
    return `${short(seconds)}${THIN}s`;
  }
  if (size < 7_200) {
    return `${short(seconds / 60)}${THIN}min`;
  }
  return size < 172_800 ? `${short(seconds / 3_600)}${THIN}h` : `${short(seconds / 86_400)}${THIN}d`;
}

/**
 * @param {number} value
 * @returns {string}
 */
function bytes(value) {
  const names = ["B", "KiB", "MiB", "GiB", "TiB"];
  let step = 0;
  let rest = value;
  while (Math.abs(rest) >= 1_023.5 && step < names.length - 1) {
    rest /= 1_024;
    step += 1;
  }
  return `${digits(rest)}${THIN}${names[step]}`;
}

/** Units as Grafana names them, each with how a value is shown. */
const UNITS = new Map(
  /** @type {[string, (value: number) => string][]} */ ([
    ["s", seconds],
    ["ms", (value) => seconds(value / 1e3)],
    ["µs", (value) => seconds(value / 1e6)],
    ["reqps", (value) => `${short(value)}/s`],
    ["ops", (value) => `${short(value)}/s`],
    ["cps", (value) => `${short(value)}/s`],
    ["rps", (value) => `${short(value)}/s`],
    ["recps", (value) => `${short(value)}/s`],
    ["wps", (value) => `${short(value)}/s`],
    ["percent", (value) => `${short(value)}${THIN}%`],
    ["percentunit", (value) => `${short(value * 100)}${THIN}%`],
    ["bytes", bytes],
    ["decbytes", bytes],
    ["Bps", (value) => `${bytes(value)}/s`],
    ["binBps", (value) => `${bytes(value)}/s`],
    ["bool", (value) => (value ? "yes" : "no")],
    ["bool_yes_no", (value) => (value ? "yes" : "no")],
    ["short", short],
    ["none", short],
    ["", short],
  ]),
);

/**
 * A value with its unit.
 * @param {number | null | undefined} value
 * @param {string} unit
 * @returns {string}
 */
export function shown(value, unit) {
  if (value === null || value === undefined || !Number.isFinite(value)) {
    return NOTHING;
  }
  const known = UNITS.get(unit);
  return known ? known(value) : `${short(value)}${THIN}${unit.slice(0, 16)}`;
}

/**
 * How long something is or was: 4 s, 3 min, 2 h, 5 d.
 * @param {number} ms
 * @returns {string}
 */
export function lasted(ms) {
  const size = Math.max(0, ms);
  if (size < MINUTE) {
    return `${Math.floor(size / SECOND)}${THIN}s`;
  }
  if (size < HOUR) {
    return `${Math.floor(size / MINUTE)}${THIN}min`;
  }
  if (size < 2 * DAY) {
    const minutes = Math.floor((size % HOUR) / MINUTE);
    return `${Math.floor(size / HOUR)}${THIN}h${minutes ? ` ${minutes}${THIN}min` : ""}`;
  }
  return `${Math.floor(size / DAY)}${THIN}d`;
}

/**
 * The time of day, here.
 * @param {number} ms
 * @param {boolean} [withSeconds]
 * @returns {string}
 */
export function clock(ms, withSeconds = true) {
  const at = new Date(ms);
  if (Number.isNaN(at.getTime())) {
    return NOTHING;
  }
  const parts = [at.getHours(), at.getMinutes(), ...(withSeconds ? [at.getSeconds()] : [])];
  return parts.map((part) => String(part).padStart(2, "0")).join(":");
}

/**
 * Date and time, here; the date is left out today.
 * @param {number} ms
 * @param {number} nowMs
 * @returns {string}
 */
export function moment(ms, nowMs) {
  const at = new Date(ms);
  if (Number.isNaN(at.getTime())) {
    return NOTHING;
  }
  if (at.toDateString() === new Date(nowMs).toDateString()) {
    return clock(ms);
  }
  const day = [at.getFullYear(), at.getMonth() + 1, at.getDate()].map((part) => String(part).padStart(2, "0"));
  return `${day.join("-")} ${clock(ms)}`;
}

/**
 * A time as `datetime` attributes have it.
 * @param {number} ms
 * @returns {string | null}
 */
export function iso(ms) {
  const at = new Date(ms);
  return Number.isNaN(at.getTime()) ? null : at.toISOString();
}
