// Asks the gateway. The key goes in a header, never in an address; each request has an end; each failure says what to do.

import { Pace } from "./pace.js";

const SECONDS_MAX = 10;
const ANSWER_BYTES_MAX = 8 * 1_048_576;
const RETRY_MS = 5_000;

/**
 * `unreachable`: nobody answers. `away`: the gateway does, but not who knows. `key`: none, or refused.
 * `forbidden`: the key lacks a permission. `limited`: too many requests. `missing`: no such thing.
 * `invalid`: what was sent is wrong. `failed`: a fault.
 * @typedef {"unreachable"|"away"|"key"|"forbidden"|"limited"|"missing"|"invalid"|"failed"} Kind
 */

/** Why a request failed. */
export class ApiError extends Error {
  /**
   * @param {Kind} kind
   * @param {string} message
   * @param {{status?: number, problems?: {field: string, message: string}[], retryMs?: number, problem?: string, answer?: any}} [more]
   */
  constructor(kind, message, more = {}) {
    super(message);
    this.kind = kind;
    this.status = more.status ?? 0;
    this.problems = more.problems ?? [];
    this.retryMs = more.retryMs ?? RETRY_MS;
    /** The problem's own name: the last part of its `type`. */
    this.problem = more.problem ?? "";
    this.answer = more.answer ?? {};
  }
}

/** @type {Record<number, Kind>} */
const KINDS = { 401: "key", 403: "forbidden", 404: "missing", 429: "limited", 502: "away", 503: "away", 504: "away" };

export class Api {
  /**
   * @param {{current: () => string}} keys
   * @param {string} [base] where the API stands: beside the page, also behind a proxy's path
   */
  constructor(keys, base = "../") {
    this.keys = keys;
    this.base = new URL(base, document.baseURI);
    this.pace = new Pace();
    /** By how much the gateway's clock is ahead of this one's. */
    this.aheadMs = 0;
  }

  /** The gateway's time, as near as its answers tell. */
  nowMs() {
    return Date.now() + this.aheadMs;
  }

  /**
   * @param {string} path such as `v1/map`
   * @param {Record<string, string | number>} [query] what is empty is left out
   * @param {AbortSignal} [signal] ends it early
   * @returns {Promise<any>}
   */
  get(path, query = {}, signal = undefined) {
    return this.ask("GET", path, query, { signal });
  }

  /**
   * @param {string} path
   * @param {unknown} content
   * @param {Record<string, string>} headers
   * @param {number} [secondsMax]
   * @returns {Promise<any>}
   */
  post(path, content, headers, secondsMax = SECONDS_MAX) {
    return this.ask("POST", path, {}, { body: JSON.stringify(content), headers, secondsMax });
  }

  /**
   * Open a stream; the caller reads it to its end, or ends it by the signal.
   * @param {string} path
   * @param {AbortSignal} signal
   * @returns {Promise<Response>}
   */
  async stream(path, signal) {
    const response = await this.send("GET", path, {}, { signal, headers: { Accept: "text/event-stream" } });
    if (!response.ok) {
      throw failure(response, await content(response));
    }
    return response;
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {Record<string, string | number>} query
   * @param {{body?: string, headers?: Record<string, string>, secondsMax?: number, signal?: AbortSignal}} [more]
   */
  async ask(method, path, query, more = {}) {
    const end = new AbortController();
    more.signal?.addEventListener("abort", () => end.abort());
    const timer = setTimeout(() => end.abort(), (more.secondsMax ?? SECONDS_MAX) * 1_000);
    try {
      const response = await this.send(method, path, query, { ...more, signal: end.signal });
      const found = await content(response);
      if (!response.ok) {
        throw failure(response, found);
      }
      return found;
    } catch (error) {
      if (error instanceof ApiError) {
        throw error;
      }
      throw new ApiError(
        "unreachable",
        end.signal.aborted ? "The gateway took the request and did not answer in time." : "The gateway does not answer.",
      );
    } finally {
      clearTimeout(timer);
    }
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {Record<string, string | number>} query
   * @param {{body?: string, headers?: Record<string, string>, signal: AbortSignal}} more
   */
  async send(method, path, query, more) {
    const url = new URL(path, this.base);
    for (const [name, value] of Object.entries(query)) {
      if (value !== "") {
        url.searchParams.set(name, String(value));
      }
    }
    const key = this.keys.current();
    const response = await fetch(url, {
      method,
      headers: { ...more.headers, ...(key ? { Authorization: `Bearer ${key}` } : {}) },
      body: more.body,
      signal: more.signal,
      cache: "no-store",
      redirect: "error",
    });
    this.pace.went(Date.now());
    this.pace.learn(response.headers);
    const date = Date.parse(response.headers.get("Date") ?? "");
    if (!Number.isNaN(date)) {
      // The header has whole seconds: within one of them the clocks count as the same.
      const ahead = date - Date.now();
      this.aheadMs = ahead > -1_500 && ahead < 500 ? 0 : ahead + 500;
    }
    return response;
  }
}

/**
 * Read an answer's JSON, and no more than it may have.
 * @param {Response} response
 * @returns {Promise<any>}
 */
async function content(response) {
  const reader = response.body?.getReader();
  if (!reader) {
    return {};
  }
  const pieces = [];
  let size = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) {
      break;
    }
    size += value.byteLength;
    if (size > ANSWER_BYTES_MAX) {
      await reader.cancel();
      throw new ApiError("failed", "The answer is larger than this page reads.", { status: response.status });
    }
    pieces.push(value);
  }
  try {
    return JSON.parse(await new Blob(pieces).text());
  } catch {
    if (response.ok) {
      throw new ApiError("failed", "The answer is no JSON. Does something stand between this page and the gateway?");
    }
    return {};
  }
}

/**
 * @param {Response} response
 * @param {any} found
 * @returns {ApiError}
 */
function failure(response, found) {
  const problem = found !== null && typeof found === "object" ? found : {};
  const kind = KINDS[response.status] ?? (response.status < 500 ? "invalid" : "failed");
  const title = typeof problem.title === "string" ? problem.title : `The gateway answers ${response.status}.`;
  const detail = typeof problem.detail === "string" ? problem.detail.slice(0, 1_000) : title;
  const listed = Array.isArray(problem.problems) ? problem.problems.slice(0, 20) : [];
  const seconds = Number(response.headers.get("Retry-After"));
  const told = typeof problem.retry_after_ms === "number" ? problem.retry_after_ms : seconds * 1_000;
  return new ApiError(kind, detail, {
    status: response.status,
    problems: listed.map((/** @type {any} */ each) => ({
      field: String(each?.field ?? "").slice(0, 100),
      message: String(each?.message ?? "").slice(0, 500),
    })),
    retryMs: told > 0 ? Math.min(told, 300_000) : RETRY_MS,
    problem: typeof problem.type === "string" ? problem.type.split(":").at(-1) : "",
    answer: problem,
  });
}
