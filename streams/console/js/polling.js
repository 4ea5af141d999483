// Asks again and again: while somebody looks, no request upon another, slower when nobody answers.

import { ApiError } from "./api.js";
import { ShapeError } from "./shapes.js";

const TOGETHER_MAX = 3;
const BACKOFF_MS = [2_000, 4_000, 8_000, 15_000, 30_000];
const FORBIDDEN_MS = 60_000;
const COMMON = ["key", "unreachable", "limited"];
/** Timers are set by this much too late, never too early: else they would fire twice. */
const SLACK_MS = 5;
const SOON_MS = 400;

/**
 * One thing that is asked for. `path` gives nothing while it is not wanted.
 * @typedef {{
 *   name: string,
 *   everyMs: () => number,
 *   path: () => string | null,
 *   query?: () => Record<string, string | number>,
 *   take: (answer: any) => void,
 *   fail?: (error: ApiError) => void,
 *   rank?: number,
 * }} Task
 */

/** @typedef {{dueMs: number, end: AbortController | null, failures: number, error: ApiError | null, turn: number, hurry: boolean}} Standing */

export class Poller {
  /**
   * @param {import("./api.js").Api} api
   * @param {(standing: Poller) => void} changed told after each answer
   */
  constructor(api, changed) {
    this.api = api;
    this.changed = changed;
    /** @type {Map<Task, Standing>} */
    this.tasks = new Map();
    /** Set while a key is asked for: nothing goes out. */
    this.held = false;
    /** @type {number | undefined} */
    this.timer = undefined;
    document.addEventListener("visibilitychange", () => this.wake());
    window.addEventListener("online", () => this.again());
  }

  /**
   * Ask for something from now on, until the returned function is called.
   * @param {Task} task
   * @returns {() => void}
   */
  add(task) {
    this.tasks.set(task, { dueMs: 0, end: null, failures: 0, error: null, turn: 0, hurry: false });
    this.wake();
    return () => {
      this.tasks.get(task)?.end?.abort();
      this.tasks.delete(task);
    };
  }

  /**
   * Ask at once, and drop what is under way: what is shown is about another range, tenant or view than before.
   * @param {Task} task
   */
  now(task) {
    const standing = this.tasks.get(task);
    if (standing) {
      standing.turn += 1;
      standing.dueMs = 0;
      standing.end?.abort();
      this.wake();
    }
  }

  /**
   * Ask shortly: something has changed, and more may in the same moment.
   * @param {Task} task
   */
  soon(task) {
    const standing = this.tasks.get(task);
    if (standing && !standing.error) {
      standing.hurry = standing.end !== null;
      standing.dueMs = Math.min(standing.dueMs, Date.now() + SOON_MS);
      this.wake();
    }
  }

  /** Forget all failures and ask for everything at once. */
  again() {
    this.api.pace.forget();
    for (const standing of this.tasks.values()) {
      standing.dueMs = 0;
      standing.failures = 0;
    }
    this.wake();
  }

  /** Stop, as long as there is no key that is taken. */
  hold() {
    this.held = true;
    this.wake();
  }

  /** Go on with another key: what the last one was told means nothing any more. */
  release() {
    this.held = false;
    for (const standing of this.tasks.values()) {
      standing.turn += 1;
      standing.error = null;
      standing.end?.abort();
    }
    this.again();
  }

  /** What failed last and is not mended yet; the worst first. */
  worst() {
    const order = ["key", "unreachable", "away", "forbidden", "limited", "failed", "missing", "invalid"];
    // A chart says itself what is wrong with it; what concerns all is said of all.
    const errors = [...this.tasks].flatMap(([task, { error }]) =>
      (error && task.path() !== null && ((task.rank ?? 5) < 5 || COMMON.includes(error.kind)) ? [error] : []));
    errors.sort((one, other) => order.indexOf(one.kind) - order.indexOf(other.kind));
    return errors[0] ?? null;
  }

  /** When the next request goes out. */
  nextMs() {
    return Math.min(...[...this.tasks.values()].map((each) => each.dueMs));
  }

  wake() {
    clearTimeout(this.timer);
    if (document.hidden || this.held) {
      return;
    }
    const nowMs = Date.now();
    let flying = [...this.tasks.values()].filter((each) => each.end !== null).length;
    const waiting = [...this.tasks]
      .filter(([task, each]) => each.end === null && task.path() !== null)
      .sort(([one, mine], [other, its]) => (one.rank ?? 5) - (other.rank ?? 5) || mine.dueMs - its.dueMs);
    let nextMs = Infinity;
    for (const [task, standing] of waiting) {
      if (standing.dueMs > nowMs) {
        nextMs = Math.min(nextMs, standing.dueMs);
        continue;
      }
      const waitMs = this.api.pace.waitMs(nowMs);
      if (flying >= TOGETHER_MAX) {
        break;
      }
      if (waitMs > 0) {
        nextMs = Math.min(nextMs, nowMs + waitMs);
        break;
      }
      flying += 1;
      this.api.pace.went(nowMs);
      void this.ask(task, standing);
    }
    if (nextMs < Infinity) {
      this.timer = setTimeout(() => this.wake(), nextMs - nowMs + SLACK_MS);
    }
  }

  /**
   * @param {Task} task
   * @param {Standing} standing
   */
  async ask(task, standing) {
    const turn = standing.turn;
    const end = new AbortController();
    const wanted = () => standing.turn === turn && this.tasks.get(task) === standing;
    standing.end = end;
    try {
      const answer = await this.api.get(/** @type {string} */ (task.path()), task.query?.() ?? {}, end.signal);
      if (wanted()) {
        task.take(answer);
        standing.error = null;
        standing.failures = 0;
        standing.dueMs = Date.now() + (standing.hurry ? SOON_MS : task.everyMs());
        standing.hurry = false;
      }
    } catch (error) {
      if (wanted()) {
        this.failed(task, standing, asApiError(error));
      }
    }
    standing.end = null;
    this.changed(this);
    this.wake();
  }

  /**
   * @param {Task} task
   * @param {Standing} standing
   * @param {ApiError} error
   */
  failed(task, standing, error) {
    standing.error = error;
    const backoffMs = BACKOFF_MS[Math.min(standing.failures, BACKOFF_MS.length - 1)];
    standing.failures += 1;
    const leastMs = { forbidden: FORBIDDEN_MS, missing: FORBIDDEN_MS, limited: error.retryMs }[error.kind] ?? 0;
    // Spread: many pages must not all come back at the same moment.
    standing.dueMs = Date.now() + Math.max(backoffMs, leastMs) * (0.9 + Math.random() * 0.2);
    if (error.kind === "limited" || error.kind === "unreachable") {
      // The others would be told the same.
      for (const other of this.tasks.values()) {
        other.dueMs = Math.max(other.dueMs, standing.dueMs);
      }
    }
    task.fail?.(error);
  }
}

/**
 * @param {unknown} error
 * @returns {ApiError}
 */
function asApiError(error) {
  if (error instanceof ApiError) {
    return error;
  }
  if (error instanceof ShapeError) {
    return new ApiError("failed", error.message);
  }
  console.error(error);
  return new ApiError("failed", "This page has a bug in showing what the gateway answered; the browser's console says which.");
}
