// Alerts as they come, over one long answer. Read with fetch, because an EventSource cannot send a key.

import { ApiError } from "./api.js";

const PATH = "v1/alerts/events";
const BACKOFF_MS = [1_000, 2_000, 4_000, 8_000, 15_000, 30_000];
const FORBIDDEN_MS = 120_000;
/** Comments keep the answer open; who is silent for longer is gone. */
const SILENT_MS = 60_000;
const EVENT_CHARACTERS_MAX = 262_144;

/** Cuts server-sent events out of text that comes in pieces. */
export class EventCutter {
  constructor() {
    this.rest = "";
  }

  /**
   * @param {string} piece
   * @returns {{event: string, data: string}[]}
   */
  cut(piece) {
    // A CR at the end may be half of a line's end.
    const text = this.rest + piece;
    const held = text.endsWith("\r") ? "\r" : "";
    const blocks = text.slice(0, text.length - held.length).replace(/\r\n?/g, "\n").split("\n\n");
    this.rest = (blocks.pop() ?? "") + held;
    if (this.rest.length > EVENT_CHARACTERS_MAX) {
      throw new Error("an event without an end");
    }
    return blocks.map(eventOf).filter((each) => each.data !== "");
  }
}

/**
 * @param {string} block
 * @returns {{event: string, data: string}}
 */
function eventOf(block) {
  let event = "message";
  const data = [];
  for (const line of block.split("\n")) {
    const colon = line.indexOf(":");
    const [name, value] = colon < 0 ? [line, ""] : [line.slice(0, colon), line.slice(colon + 1).replace(/^ /, "")];
    if (name === "event") {
      event = value;
    } else if (name === "data") {
      data.push(value);
    }
  }
  return { event, data: data.join("\n") };
}

/** Listens for as long as the page is there, also behind another tab: that is when a title that changes is of use. */
export class AlertStream {
  /**
   * @param {import("./api.js").Api} api
   * @param {(change: unknown) => void} tell
   * @param {(open: boolean) => void} opened
   */
  constructor(api, tell, opened) {
    this.api = api;
    this.tell = tell;
    this.opened = opened;
    this.failures = 0;
    /** @type {AbortController | null} */
    this.end = null;
    /** @type {number | undefined} */
    this.timer = undefined;
  }

  /** Listen; if it does already, anew: with the key as it is now. */
  start() {
    this.stop();
    this.failures = 0;
    void this.listen();
  }

  stop() {
    clearTimeout(this.timer);
    this.end?.abort();
    this.end = null;
    this.opened(false);
  }

  async listen() {
    const end = new AbortController();
    this.end = end;
    let waitMs = 0;
    try {
      const response = await this.api.stream(PATH, end.signal);
      this.opened(true);
      await this.read(response, end);
    } catch (error) {
      if (error instanceof ApiError && ["key", "forbidden", "missing"].includes(error.kind)) {
        // The page says why; a new key starts this anew.
        waitMs = FORBIDDEN_MS;
      } else if (error instanceof ApiError && error.kind === "limited") {
        waitMs = error.retryMs;
      }
    } finally {
      end.abort();
    }
    if (this.end !== end) {
      return;
    }
    this.opened(false);
    const backoffMs = BACKOFF_MS[Math.min(this.failures, BACKOFF_MS.length - 1)];
    this.failures += 1;
    this.timer = setTimeout(() => void this.listen(), Math.max(waitMs, backoffMs) * (0.9 + Math.random() * 0.2));
  }

  /**
   * @param {Response} response
   * @param {AbortController} end
   */
  async read(response, end) {
    const reader = response.body?.getReader();
    const decoder = new TextDecoder();
    const cutter = new EventCutter();
    let silence = setTimeout(() => end.abort(), SILENT_MS);
    try {
      while (reader) {
        const { done, value } = await reader.read();
        if (done) {
          return;
        }
        clearTimeout(silence);
        silence = setTimeout(() => end.abort(), SILENT_MS);
        this.failures = 0;
        for (const { event, data } of cutter.cut(decoder.decode(value, { stream: true }))) {
          if (event === "alert") {
            this.take(data);
          }
        }
      }
    } finally {
      clearTimeout(silence);
    }
  }

  /** @param {string} data */
  take(data) {
    let change;
    try {
      change = JSON.parse(data);
    } catch {
      return;
    }
    this.tell(change);
  }
}
