// The two things that can be changed here: a threshold, and whether people are told of an alert.

import { el, say, set } from "./dom.js";
import { Wish } from "./directives.js";
import { shown } from "./format.js";

export const THRESHOLD_SET = "hopline.alert.threshold.set";
export const SILENCE = "hopline.alert.silence";
/** The tenant of what holds for all. */
const ALL = "_system";
const SILENCES = [
  { minutes: 15, title: "15 minutes" },
  { minutes: 60, title: "1 hour" },
  { minutes: 240, title: "4 hours" },
  { minutes: 1_440, title: "1 day" },
  { minutes: 10_080, title: "1 week" },
];
const HINTS = /** @type {Record<string, string>} */ ({
  s: "in seconds", ms: "in milliseconds", percentunit: "as a part of 1: 0.5 is 50 %", percent: "in percent",
  bytes: "in bytes", reqps: "per second",
});

let made = 0;

/** @typedef {{name: string, title: string, hint?: string, input: HTMLInputElement | HTMLSelectElement}} Field */

/** A form that asks for one directive and says what became of it, field by field. */
class DirectiveForm {
  /**
   * @param {import("./api.js").Api} api
   * @param {{title: string, directive: string, alert: string, fields: Field[], submit: string, done: () => void, after: () => void}} what
   */
  constructor(api, what) {
    made += 1;
    this.id = `form-${made}`;
    this.what = what;
    this.wish = new Wish(api);
    this.busy = false;
    /** @type {Map<string, {input: HTMLInputElement | HTMLSelectElement, wrong: HTMLElement}>} */
    this.fields = new Map();
    this.outcome = el("p", { class: "outcome", hidden: true, role: "status" });
    this.button = el("button", { type: "submit", class: "button primary" }, what.submit);
    this.root = el("form", { class: "directive-form", novalidate: true, "aria-label": what.title, onsubmit: (/** @type {Event} */ event) => this.submit(event) },
      ...what.fields.map((field) => this.field(field)),
      el("div", { class: "buttons" }, this.button, el("button", { type: "button", class: "button", onclick: () => this.what.done() }, "Close")),
      this.outcome);
  }

  /** @param {Field} field */
  field({ name, title, hint, input }) {
    const [hintId, wrongId] = [`${this.id}-${name}-hint`, `${this.id}-${name}-wrong`];
    const wrong = el("span", { class: "form-error", id: wrongId, hidden: true });
    set(input, "name", name);
    set(input, "aria-describedby", `${hint ? `${hintId} ` : ""}${wrongId}`);
    this.fields.set(name, { input, wrong });
    return el("label", { class: "field" }, el("span", {}, title), input, hint && el("span", { class: "hint", id: hintId }, hint), wrong);
  }

  /** @param {string} name */
  text(name) {
    return this.fields.get(name)?.input.value.trim() ?? "";
  }

  /**
   * @param {string} name
   * @param {string} message
   */
  complain(name, message) {
    const field = this.fields.get(name);
    if (!field) {
      return false;
    }
    say(field.wrong, message);
    set(field.wrong, "hidden", message === "");
    set(field.input, "aria-invalid", message === "" ? null : "true");
    return true;
  }

  /**
   * @param {string} text
   * @param {"good"|"bad"|"waits"} how
   */
  tell(text, how) {
    set(this.outcome, "data-how", how);
    set(this.outcome, "hidden", text === "");
    say(this.outcome, text);
  }

  /**
   * The directive's data, or nothing if a field is wrong.
   * @returns {Record<string, unknown> | null}
   */
  data() {
    throw new Error("each form has its own");
  }

  /** @param {Event} event */
  async submit(event) {
    event.preventDefault();
    if (this.busy) {
      return;
    }
    for (const name of this.fields.keys()) {
      this.complain(name, "");
    }
    const data = this.data();
    if (!data) {
      this.tell("", "bad");
      this.focusWrong();
      return;
    }
    this.busy = true;
    set(this.button, "aria-disabled", "true");
    this.tell("Asking …", "waits");
    const outcome = await this.wish.ask(this.what.directive, this.text("tenant") || ALL, data);
    this.busy = false;
    set(this.button, "aria-disabled", null);
    // `data.value`, `value` and `body.data.value` are all the field `value`; what has no field here is said below.
    const rest = outcome.fields.filter(({ field, message }) => !this.complain(field.split(".").at(-1) ?? "", message));
    this.tell([outcome.text, ...rest.map(({ field, message }) => `${field}: ${message}`)].join(" "), outcome.good ? (outcome.done ? "good" : "waits") : "bad");
    this.focusWrong();
    this.what.after();
  }

  focusWrong() {
    const wrong = [...this.fields.values()].find(({ input }) => input.getAttribute("aria-invalid"));
    wrong?.input.focus();
  }
}

/** @param {string} [value] */
function tenantField(value = "") {
  return {
    name: "tenant", title: "For the tenant", hint: "empty: for all",
    input: el("input", { value, maxlength: 128, autocomplete: "off", spellcheck: "false", list: "tenant-names" }),
  };
}

/** Moves a threshold. */
export class ThresholdForm extends DirectiveForm {
  /**
   * @param {import("./api.js").Api} api
   * @param {import("./shapes.js").Rule} rule
   * @param {() => void} done closes it
   * @param {() => void} after told when it was asked
   */
  constructor(api, rule, done, after) {
    const input = el("input", { inputmode: "decimal", autocomplete: "off", value: rule.effective ?? "", maxlength: 30 });
    super(api, {
      title: `Threshold of ${rule.alert}`, directive: THRESHOLD_SET, alert: rule.alert, submit: "Move the threshold", done, after,
      fields: [
        { name: "value", title: "New threshold", hint: [HINTS[rule.unit], rule.standard === null ? "" : `the default is ${shown(rule.standard, rule.unit)}`].filter(Boolean).join("; "), input },
        ...(rule.perTenant ? [tenantField()] : []),
      ],
    });
    this.reset = false;
    if (rule.standard !== null && (rule.effective !== rule.standard || rule.overrides.length)) {
      // Null goes back to what it was before anybody set it.
      this.root.querySelector(".buttons").append(el("button", { type: "button", class: "button", onclick: () => this.goBack() }, "Back to the default"));
    }
  }

  goBack() {
    this.reset = true;
    this.root.requestSubmit();
  }

  data() {
    if (this.reset) {
      this.reset = false;
      return { alert: this.what.alert, value: null };
    }
    const text = this.text("value").replace(",", ".");
    const value = Number(text);
    if (text === "" || !Number.isFinite(value)) {
      this.complain("value", "must be a number, such as 0.5 or 30");
      return null;
    }
    return { alert: this.what.alert, value };
  }
}

/** Silences an alert. */
export class SilenceForm extends DirectiveForm {
  /**
   * @param {import("./api.js").Api} api
   * @param {string} alert
   * @param {string} tenant
   * @param {() => void} done closes it
   * @param {() => void} after told when it was asked
   */
  constructor(api, alert, tenant, done, after) {
    super(api, {
      title: `Silence ${alert}`, directive: SILENCE, alert, submit: "Silence it", done, after,
      fields: [
        { name: "minutes", title: "For", input: el("select", {}, ...SILENCES.map((each) => el("option", { value: each.minutes, selected: each.minutes === 60 }, each.title))) },
        { name: "why", title: "Why", hint: "others read it in the audit", input: el("input", { maxlength: 300, autocomplete: "off" }) },
        tenantField(tenant),
      ],
    });
  }

  data() {
    const why = this.text("why");
    if (why === "") {
      this.complain("why", "say why, so that others know");
      return null;
    }
    return { alert: this.what.alert, minutes: Number(this.text("minutes")), why };
  }
}
