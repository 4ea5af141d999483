// What alerts are made of, wherever they stand: severity, labels, value against threshold, runbook.

import { el, svg, webAddress } from "./dom.js";
import { shown } from "./format.js";
import { stateSign } from "./mapparts.js";

const RUNBOOKS = "docs/runbooks/";
const LABELS_SHOWN = 8;

/**
 * @param {string} severity
 * @returns {HTMLElement}
 */
export function severityBadge(severity) {
  const sign = severity === "critical" || severity === "warning" ? stateSign(severity, 13)
    : svg("svg", { class: "sign sign-info", viewBox: "0 0 16 16", width: 13, height: 13, "aria-hidden": "true", focusable: "false" },
      svg("rect", { class: "shape", x: 1, y: 1, width: 14, height: 14, rx: 3 }), svg("path", { class: "mark", d: "M8 7.4 V11.6 M8 4.4 V4.5" }));
  return el("span", { class: `badge badge-${["critical", "warning"].includes(severity) ? severity : "info"}` }, sign, severity);
}

/**
 * @param {Record<string, string>} labels
 * @returns {HTMLElement | null}
 */
export function labelList(labels) {
  const all = Object.entries(labels).filter(([name]) => name !== "alertname");
  if (!all.length) {
    return null;
  }
  return el("ul", { class: "labels", "aria-label": "Labels" },
    ...all.slice(0, LABELS_SHOWN).map(([name, value]) => el("li", {}, el("span", { class: "label-name" }, name), " ", value || "–")),
    all.length > LABELS_SHOWN && el("li", {}, `${all.length - LABELS_SHOWN} more`));
}

/**
 * A runbook: a link if it is an address, else the path of the file in the project.
 * @param {string} runbook
 * @returns {HTMLElement | null}
 */
export function runbookLink(runbook) {
  if (!runbook) {
    return null;
  }
  const href = webAddress(runbook);
  if (href) {
    return el("a", { href, rel: "noopener noreferrer", target: "_blank" }, "Runbook", el("span", { class: "unseen" }, " (opens a new tab)"));
  }
  return el("span", { class: "runbook" }, "Runbook ", el("code", {}, runbook.includes("/") ? runbook : RUNBOOKS + runbook));
}

/**
 * @param {number|null} value
 * @param {number|null} threshold
 * @param {import("./shapes.js").Rule | undefined} rule
 */
export function against(value, threshold, rule) {
  const unit = rule?.unit ?? "short";
  if (threshold === null) {
    return value === null ? "" : shown(value, unit);
  }
  const compare = /** @type {Record<string, string>} */ ({ ">": ">", ">=": "≥", "<": "<", "<=": "≤" })[rule?.compare ?? ""];
  if (!compare) {
    return `${shown(value, unit)}, threshold ${shown(threshold, unit)}`;
  }
  return `${shown(value, unit)} ${compare} ${shown(threshold, unit)}`;
}
