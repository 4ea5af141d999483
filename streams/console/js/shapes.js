// What the API answers, taken in at the edge: of the right types, bounded, and nothing else goes further.

export const NODES_MAX = 80;
export const EDGES_MAX = 240;
export const CHARTS_MAX = 200;
export const SERIES_MAX = 60;
export const POINTS_MAX = 1_500;
export const ALERTS_MAX = 500;
export const CHANGES_MAX = 500;
export const RULES_MAX = 300;
export const OVERRIDES_MAX = 100;
export const TENANTS_MAX = 100;
const LABELS_MAX = 24;
const TEXT_MAX = 2_000;
const NAME_MAX = 200;
/** Of words out of a short list, such as a severity: they stand where there is room for no more. */
const WORD_MAX = 16;

/** @typedef {"ok" | "warning" | "critical" | "unknown"} State */
/** @typedef {{perSecond: number|null, lag: number|null, lagSeconds: number|null, p99Seconds: number|null, deadPerSecond: number|null}} Figures */
/** @typedef {{id: string, title: string, kind: "process"|"hop"|"topic", state: State, figures: Figures}} MapNode */
/** @typedef {{from: string, to: string, perSecond: number|null}} MapEdge */
/** @typedef {{atMs: number, nodes: MapNode[], edges: MapEdge[]}} PipelineMap */
/** @typedef {{id: string, title: string, description: string, unit: string, shape: string, group: string, queries: {expr: string, legend: string}[]}} ChartHead */
/** @typedef {{legend: string, labels: Record<string,string>, points: [number, number|null][]}} Series */
/** @typedef {{unit: string, shape: string, fromMs: number, toMs: number, stepMs: number, series: Series[], leftOut: number}} ChartData */
/** @typedef {{id: string, alert: string, severity: string, state: string, labels: Record<string,string>, value: number|null, threshold: number|null, sinceMs: number, summary: string, description: string, runbook: string, silenced: boolean}} Alert */
/** @typedef {{atMs: number, alerts: Alert[], leftOut: number}} Alerts */
/** @typedef {{atMs: number, id: string, alert: string, severity: string, from: string, to: string, labels: Record<string,string>, value: number|null, threshold: number|null, summary: string, quiet: boolean}} Change */
/** @typedef {{alert: string, severity: string, signal: string, compare: string, unit: string, standard: number|null, effective: number|null, overrides: {tenant: string, value: number|null}[], forSeconds: number, runbook: string, perTenant: boolean}} Rule */
/** @typedef {{atMs: number, queues: [string, number|null][], latency: {hop: string, p50: number|null, p90: number|null, p99: number|null}[], agents: {hop: string, utilisation: number|null}[], errorRatio: number|null, byReason: [string, number|null][], tenants: {name: string, figures: [string, number|null][]}[]}} Metrics */

/** What the answer is not what was agreed. */
export class ShapeError extends Error {}

/**
 * @param {unknown} value
 * @returns {Record<string, any>}
 */
function record(value) {
  return value !== null && typeof value === "object" && !Array.isArray(value) ? /** @type {any} */ (value) : {};
}

/**
 * @param {unknown} value
 * @returns {unknown[]}
 */
function list(value) {
  return Array.isArray(value) ? value : [];
}

/**
 * @param {unknown} value
 * @param {number} [most]
 * @returns {string}
 */
function text(value, most = NAME_MAX) {
  if (typeof value === "number" || typeof value === "boolean") {
    return String(value);
  }
  return typeof value === "string" ? value.slice(0, most) : "";
}

/**
 * A number, also as Prometheus writes it; what is none is null.
 * @param {unknown} value
 * @returns {number | null}
 */
function number(value) {
  const found = typeof value === "string" && value !== "" ? Number(value) : value;
  return typeof found === "number" && Number.isFinite(found) ? found : null;
}

/**
 * @param {unknown} value
 * @returns {number}
 */
function time(value) {
  return number(value) ?? Number.NaN;
}

/**
 * @param {unknown} value
 * @returns {Record<string, string>}
 */
function labels(value) {
  return Object.fromEntries(
    Object.entries(record(value)).slice(0, LABELS_MAX).map(([name, each]) => [name.slice(0, NAME_MAX), text(each)]),
  );
}

/**
 * @param {unknown} value
 * @returns {[string, number|null][]}
 */
function figures(value) {
  return Object.entries(record(value)).slice(0, TENANTS_MAX).map(([name, each]) => [name.slice(0, NAME_MAX), number(each)]);
}

/**
 * The list under a name, which the answer must have.
 * @param {unknown} answer
 * @param {string} name
 * @returns {unknown[]}
 */
function must(answer, name) {
  const found = record(answer)[name];
  if (!Array.isArray(found)) {
    throw new ShapeError(`The answer has no list "${name}". Is the gateway of another version than this page? Reload it.`);
  }
  return found;
}

/**
 * @param {unknown} value
 * @returns {State}
 */
function state(value) {
  return value === "ok" || value === "warning" || value === "critical" ? value : "unknown";
}

/**
 * @param {unknown} answer
 * @returns {PipelineMap}
 */
export function mapOf(answer) {
  const nodes = must(answer, "nodes").slice(0, NODES_MAX).map((each) => {
    const node = record(each);
    const has = record(node.figures);
    const id = text(node.id);
    return {
      id,
      title: text(node.title) || id,
      kind: node.kind === "hop" || node.kind === "topic" ? node.kind : /** @type {const} */ ("process"),
      state: state(node.state),
      figures: {
        perSecond: number(has.per_second),
        lag: number(has.lag) ?? number(has.waiting),
        lagSeconds: number(has.lag_seconds),
        p99Seconds: number(has.p99_seconds),
        deadPerSecond: number(has.dead_per_second),
      },
    };
  }).filter((node) => node.id !== "");
  const known = new Set(nodes.map((node) => node.id));
  const edges = list(record(answer).edges).slice(0, EDGES_MAX).map((each) => {
    const edge = record(each);
    return { from: text(edge.from), to: text(edge.to), perSecond: number(edge.per_second) };
  }).filter((edge) => known.has(edge.from) && known.has(edge.to) && edge.from !== edge.to);
  return { atMs: time(record(answer).at_ms), nodes, edges };
}

/**
 * @param {unknown} answer
 * @returns {ChartHead[]}
 */
export function chartsOf(answer) {
  return must(answer, "charts").slice(0, CHARTS_MAX).map((each) => {
    const chart = record(each);
    const id = text(chart.id);
    return {
      id,
      title: text(chart.title) || id,
      description: text(chart.description, TEXT_MAX),
      unit: text(chart.unit, WORD_MAX),
      shape: text(chart.shape),
      group: text(chart.group),
      queries: list(chart.queries).slice(0, 20).map((query) => ({
        expr: text(record(query).expr, TEXT_MAX),
        legend: text(record(query).legend),
      })),
    };
  }).filter((chart) => chart.id !== "");
}

/**
 * @param {unknown} answer
 * @returns {ChartData}
 */
export function chartOf(answer) {
  const all = must(answer, "series");
  const has = record(answer);
  const series = all.slice(0, SERIES_MAX).map((each) => {
    const one = record(each);
    const named = labels(one.labels);
    /** @type {[number, number|null][]} */
    const points = list(one.points).slice(-POINTS_MAX)
      .map((point) => /** @type {[number, number|null]} */ ([time(list(point)[0]), number(list(point)[1])]))
      .filter(([at]) => Number.isFinite(at));
    const plain = Object.entries(named).map(([name, value]) => `${name}=${value}`).join(" ");
    return { legend: text(one.legend) || plain || "value", labels: named, points };
  });
  const times = series.flatMap((one) => [one.points[0]?.[0], one.points.at(-1)?.[0]]).filter((at) => at !== undefined);
  return {
    unit: text(has.unit, WORD_MAX),
    shape: text(has.shape),
    fromMs: number(has.from_ms) ?? Math.min(...times, Date.now()),
    toMs: number(has.to_ms) ?? Math.max(...times, 0),
    stepMs: Math.max(1, number(has.step_ms) ?? 1),
    series,
    leftOut: all.length - series.length + (number(has.left_out) ?? 0),
  };
}

/**
 * @param {unknown} value
 * @returns {Alert}
 */
export function alertOf(value) {
  const has = record(value);
  return {
    id: text(has.id),
    alert: text(has.alert) || "(no name)",
    severity: text(has.severity, WORD_MAX) || "info",
    state: text(has.state, WORD_MAX),
    labels: labels(has.labels),
    value: number(has.value),
    threshold: number(has.threshold),
    sinceMs: time(has.since_ms),
    summary: text(has.summary, TEXT_MAX),
    description: text(has.description, TEXT_MAX),
    runbook: text(has.runbook, TEXT_MAX),
    silenced: Boolean(has.silenced),
  };
}

/**
 * @param {unknown} answer
 * @returns {Alerts}
 */
export function alertsOf(answer) {
  const all = must(answer, "alerts");
  const alerts = all.slice(0, ALERTS_MAX).map(alertOf).filter((alert) => alert.state !== "cleared");
  return { atMs: time(record(answer).at_ms), alerts, leftOut: Math.max(0, all.length - ALERTS_MAX) };
}

/**
 * A change of an alert: flat as the history has it, or with the whole alert in it as the events have.
 * @param {unknown} value
 * @returns {Change}
 */
export function changeOf(value) {
  const has = record(value);
  const inner = record(has.alert);
  const all = { ...inner, ...has, alert: inner.alert ?? has.alert };
  const alert = alertOf(all);
  return {
    atMs: time(has.at_ms),
    id: alert.id,
    alert: alert.alert,
    severity: alert.severity,
    from: text(has.from, WORD_MAX),
    to: text(has.to, WORD_MAX),
    labels: alert.labels,
    value: alert.value,
    threshold: alert.threshold,
    summary: alert.summary,
    // Nobody is to be told of it; on a list it stands all the same.
    quiet: alert.silenced || has.told === false,
  };
}

/**
 * @param {unknown} answer
 * @returns {Change[]}
 */
export function changesOf(answer) {
  return must(answer, "changes").slice(0, CHANGES_MAX).map(changeOf);
}

/**
 * @param {unknown} answer
 * @returns {Rule[]}
 */
export function rulesOf(answer) {
  return must(answer, "rules").slice(0, RULES_MAX).map((each) => {
    const rule = record(each);
    return {
      alert: text(rule.alert) || "(no name)",
      severity: text(rule.severity, WORD_MAX) || "info",
      signal: text(rule.signal, TEXT_MAX),
      compare: text(rule.compare, WORD_MAX),
      unit: text(rule.unit, WORD_MAX),
      standard: number(rule.default),
      effective: number(rule.effective),
      // One without a tenant holds for all; it is what is in force.
      overrides: list(rule.overrides).slice(0, OVERRIDES_MAX).map((one) => ({
        tenant: text(record(one).tenant),
        value: number(record(one).value),
      })).filter(({ tenant }) => tenant !== ""),
      forSeconds: number(rule.for_seconds) ?? 0,
      runbook: text(rule.runbook, TEXT_MAX),
      perTenant: rule.per_tenant !== false,
    };
  });
}

/**
 * @param {unknown} answer
 * @returns {Metrics}
 */
export function metricsOf(answer) {
  const has = record(answer);
  const errors = record(has.errors);
  return {
    atMs: time(has.at_ms),
    queues: figures(has.queues),
    latency: Object.entries(record(has.latency_seconds)).slice(0, NODES_MAX).map(([hop, each]) => ({
      hop: hop.slice(0, NAME_MAX),
      p50: number(record(each).p50),
      p90: number(record(each).p90),
      p99: number(record(each).p99),
    })),
    agents: Object.entries(record(has.agents)).slice(0, NODES_MAX).map(([hop, each]) => ({
      hop: hop.slice(0, NAME_MAX),
      utilisation: number(record(each).utilisation),
    })),
    errorRatio: number(errors.ratio),
    byReason: figures(errors.by_reason),
    tenants: Object.entries(record(has.tenants)).slice(0, TENANTS_MAX).map(([name, each]) => ({
      name: name.slice(0, NAME_MAX),
      figures: figures(each),
    })),
  };
}
