// The rules: what each compares with what, for whom otherwise, and the forms that change it.

import { Rows, el, say, set } from "./dom.js";
import { runbookLink, severityBadge } from "./alertparts.js";
import { SilenceForm, ThresholdForm } from "./forms.js";
import { lasted, shown } from "./format.js";
import { rulesOf } from "./shapes.js";
import { Box } from "./store.js";

const EVERY_MS = 15_000;
const OVERRIDES_SHOWN = 12;

/** @typedef {import("./shapes.js").Rule} Rule */

export class RulesList {
  /**
   * @param {import("./api.js").Api} api
   * @param {import("./polling.js").Poller} poller
   */
  constructor(api, poller) {
    this.api = api;
    this.changed = new Box(0);
    /** @type {Map<string, Rule>} */
    this.known = new Map();
    this.wanted = "";
    this.filter = el("input", { type: "search", id: "rule-filter", placeholder: "Filter rules", autocomplete: "off", spellcheck: "false", maxlength: 60, "aria-label": "Filter rules by name", oninput: () => this.show() });
    this.note = el("p", { class: "muted" }, "Not known yet.");
    this.list = el("div", { class: "rule-list" });
    this.rows = new Rows(this.list, (/** @type {Rule} */ rule) => new RuleRow(rule, this));
    this.root = el("section", { "aria-labelledby": "rules-title" },
      el("div", { class: "section-head" }, el("h2", { id: "rules-title", tabindex: -1 }, "Rules"), this.filter), this.note, this.list);
    this.task = {
      name: "rules", everyMs: () => EVERY_MS, path: () => "v1/alerts/rules", rank: 3,
      take: (/** @type {unknown} */ answer) => this.take(rulesOf(answer)),
      fail: (/** @type {Error} */ error) => this.known.size || this.tell(error.message),
    };
    this.unask = poller.add(this.task);
    this.again = () => poller.now(this.task);
  }

  end() {
    this.unask();
  }

  /** @param {string} alert */
  rule(alert) {
    return this.known.get(alert);
  }

  /** @param {Rule[]} rules */
  take(rules) {
    this.known = new Map(rules.map((rule) => [rule.alert, rule]));
    this.show();
    this.changed.set(this.changed.value + 1);
    if (this.wanted) {
      this.open(this.wanted);
    }
  }

  /** @param {string} text */
  tell(text) {
    say(this.note, text);
    set(this.note, "hidden", text === "");
  }

  show() {
    const wanted = this.filter.value.trim().toLowerCase();
    const rules = [...this.known.values()].filter((rule) => rule.alert.toLowerCase().includes(wanted));
    this.rows.show(rules, (rule) => rule.alert);
    this.tell(rules.length ? "" : this.known.size ? "No rule has this in its name." : "There are no rules.");
  }

  /**
   * Show a rule's form, also once the rules are known.
   * @param {string} alert
   */
  open(alert) {
    const row = /** @type {RuleRow | undefined} */ (this.rows.rows.get(alert));
    this.wanted = row ? "" : alert;
    if (row && this.known.get(alert)?.standard !== null) {
      row.open("threshold");
    }
    row?.root.scrollIntoView({ block: "center" });
  }
}

class RuleRow {
  /**
   * @param {Rule} rule
   * @param {RulesList} list
   */
  constructor(rule, list) {
    this.list = list;
    this.rule = rule;
    this.opened = "";
    this.effective = el("span", { class: "rule-effective" });
    this.standard = el("span", { class: "rule-standard muted" });
    this.overrides = el("p", { class: "rule-overrides", hidden: true });
    this.signal = el("code", { class: "rule-signal" });
    this.formHost = el("div");
    /** @type {Record<string, HTMLButtonElement>} */
    this.buttons = {
      threshold: el("button", { type: "button", class: "button", "aria-expanded": "false", onclick: () => this.toggle("threshold") }, "Threshold …"),
      silence: el("button", { type: "button", class: "button", "aria-expanded": "false", onclick: () => this.toggle("silence") }, "Silence …"),
    };
    set(this.buttons.threshold, "hidden", rule.standard === null);
    for (const [name, button] of Object.entries(this.buttons)) {
      set(button, "aria-label", name === "threshold" ? `Move the threshold of ${rule.alert}` : `Silence ${rule.alert}`);
    }
    this.root = el("article", { class: "card rule", "data-rule": rule.alert, "aria-label": rule.alert },
      el("div", { class: "rule-head" }, severityBadge(rule.severity), el("h3", {}, rule.alert), this.effective, this.standard,
        el("div", { class: "buttons" }, this.buttons.threshold, this.buttons.silence)),
      this.overrides,
      el("details", { class: "rule-more" }, el("summary", {}, "Its question and runbook"), el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": `Question of ${rule.alert}` }, this.signal), runbookLink(rule.runbook)),
      this.formHost);
  }

  /** @param {Rule} rule */
  show(rule) {
    this.rule = rule;
    const compare = /** @type {Record<string, string>} */ ({ ">=": "≥", "<=": "≤" })[rule.compare] ?? rule.compare;
    const held = rule.forSeconds ? ` for ${lasted(rule.forSeconds * 1_000)}` : "";
    say(this.effective, rule.effective === null ? `raised whenever there is one${held}` : `${compare} ${shown(rule.effective, rule.unit)}${held}`);
    const moved = rule.effective !== rule.standard;
    set(this.root, "data-moved", moved ? "yes" : null);
    say(this.standard, rule.standard === null ? "" : moved ? `moved; default ${shown(rule.standard, rule.unit)}` : "default");
    set(this.overrides, "hidden", rule.overrides.length === 0);
    const first = rule.overrides.slice(0, OVERRIDES_SHOWN).map((each) => `${each.tenant} ${shown(each.value, rule.unit)}`);
    const more = rule.overrides.length > OVERRIDES_SHOWN ? `, and ${rule.overrides.length - OVERRIDES_SHOWN} more` : "";
    say(this.overrides, `Of their own: ${first.join(", ")}${more}`);
    say(this.signal, rule.signal);
  }

  /** @param {"threshold"|"silence"} which */
  toggle(which) {
    if (this.opened === which) {
      this.close();
      this.buttons[which].focus();
    } else {
      this.open(which);
    }
  }

  /** @param {"threshold"|"silence"} which */
  open(which) {
    if (this.opened !== which) {
      this.close();
      this.opened = which;
      const done = () => this.toggle(which);
      // What it changed is seen at once, not at the next time round.
      const form = which === "threshold" ? new ThresholdForm(this.list.api, this.rule, done, this.list.again)
        : new SilenceForm(this.list.api, this.rule.alert, "", done, this.list.again);
      this.formHost.replaceChildren(form.root);
      set(this.buttons[which], "aria-expanded", "true");
    }
    const first = /** @type {HTMLInputElement | null} */ (this.formHost.querySelector("input, select"));
    first?.focus();
    if (first?.tagName === "INPUT") {
      first.select();
    }
  }

  close() {
    this.formHost.replaceChildren();
    this.opened = "";
    for (const button of Object.values(this.buttons)) {
      set(button, "aria-expanded", "false");
    }
  }
}
