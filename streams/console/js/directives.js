// Asks for a change, waits for how it ends, and tells it. Asked again after a failure it is still one change.

import { ApiError } from "./api.js";

const WAIT_SECONDS = 10;
const SECONDS_MAX = 20;
const KEY_BYTES = 16;

/** @typedef {{done: boolean, good: boolean, text: string, fields: {field: string, message: string}[]}} Outcome */

/** A key that no other request has. `randomUUID` is for secure pages only; a gateway may stand in a plain network. */
function newKey() {
  return [...crypto.getRandomValues(new Uint8Array(KEY_BYTES))].map((each) => each.toString(16).padStart(2, "0")).join("");
}

/** One wish of a form: while it stays the same, it is asked for under the same key. */
export class Wish {
  /** @param {import("./api.js").Api} api */
  constructor(api) {
    this.api = api;
    this.asked = "";
    this.key = "";
  }

  /**
   * @param {string} name
   * @param {string} tenant
   * @param {Record<string, unknown>} data
   * @returns {Promise<Outcome>}
   */
  async ask(name, tenant, data) {
    const wish = { name, tenant, data };
    const text = JSON.stringify(wish);
    if (text !== this.asked) {
      this.asked = text;
      this.key = newKey();
    }
    try {
      const answer = await this.api.post("v1/directives", wish, {
        "Content-Type": "application/json", "Idempotency-Key": this.key, Prefer: `wait=${WAIT_SECONDS}`,
      }, SECONDS_MAX);
      const outcome = outcomeOf(answer);
      if (outcome.done) {
        // The same change, wished for again later, is another one.
        this.asked = "";
      }
      return outcome;
    } catch (error) {
      return failed(error instanceof ApiError ? error : new ApiError("failed", String(error)), () => {
        this.asked = "";
      });
    }
  }
}

/**
 * @param {any} answer
 * @returns {Outcome}
 */
function outcomeOf(answer) {
  const error = typeof answer.error === "string" ? answer.error.slice(0, 500) : "";
  switch (answer.status) {
    case "succeeded":
      return { done: true, good: true, text: "Done. It is in force at the next check.", fields: [] };
    case "failed":
    case "rejected":
    case "cancelled":
      return { done: true, good: false, text: `It was ${answer.status === "failed" ? "tried and failed" : answer.status}${error ? `: ${error}` : "."}`, fields: [] };
    default:
      return {
        done: false, good: true, fields: [],
        text: `Kafka has it; it has not ended within ${WAIT_SECONDS} s. Send it again to look: it stays one change.`,
      };
  }
}

/**
 * @param {ApiError} error
 * @param {() => void} over told when the same wish would be refused again under its key
 * @returns {Outcome}
 */
function failed(error, over) {
  if (error.kind === "unreachable" || error.kind === "away" || error.kind === "limited") {
    return { done: false, good: false, fields: [], text: `${error.message} Send it again: it stays one change.` };
  }
  over();
  return { done: true, good: false, text: error.message, fields: error.problems };
}
