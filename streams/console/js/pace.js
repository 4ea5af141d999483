// How often the API may be asked: by the answers' own word (the fields of the IETF's draft on rate limits).

/** Of what the key may do, the page takes at most this, so that its owner's other programs go on. */
const SHARE = 0.7;
const POLICY = /"(\w+)";q=(\d+);w=(\d+)/;
const STATE = /"(\w+)";r=(\d+);t=(\d+)/;
/** Below this much of the bucket the page slows down; above it may use what was saved up. */
const CAREFUL = 0.6;

export class Pace {
  constructor() {
    /** The least time between two requests; 0 where no limit is told. */
    this.gapMs = 0;
    this.lastMs = 0;
  }

  /** @param {Headers} headers */
  learn(headers) {
    const policy = POLICY.exec(headers.get("RateLimit-Policy") ?? "");
    const state = STATE.exec(headers.get("RateLimit") ?? "");
    if (!policy) {
      return;
    }
    const [size, windowSeconds] = [Number(policy[2]), Number(policy[3])];
    const left = state ? Number(state[2]) : 0;
    this.gapMs = size > 0 && left < size * CAREFUL ? (windowSeconds * 1_000) / (size * SHARE) : 0;
  }

  /**
   * How long until the next request may go.
   * @param {number} nowMs
   */
  waitMs(nowMs) {
    return Math.max(0, this.lastMs + this.gapMs - nowMs);
  }

  /** @param {number} nowMs */
  went(nowMs) {
    this.lastMs = nowMs;
  }

  forget() {
    this.gapMs = 0;
  }
}
