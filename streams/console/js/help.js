// Shortcuts, and the dialog that lists them.

import { byId, el, set } from "./dom.js";
import { kept } from "./store.js";

const NAME = "hopline.shortcuts";

/** @typedef {{key: string, title: string, act: () => void}} Shortcut */

export class Help {
  /** @param {Shortcut[]} shortcuts */
  constructor(shortcuts) {
    this.shortcuts = shortcuts;
    this.storage = kept(() => localStorage);
    this.on = this.storage.get(NAME) !== "off";
    this.root = el("dialog", { class: "dialog", id: "help", "aria-labelledby": "help-title" },
      el("h2", { id: "help-title" }, "Shortcuts"),
      el("dl", { class: "shortcuts" }, ...shortcuts.map(({ key, title }) => el("div", {}, el("dt", {}, el("kbd", {}, key)), el("dd", {}, title)))),
      el("p", { class: "muted" }, "On a chart, the arrow keys move the crosshair; with Shift ten steps, Home and End to the ends. On the map, Tab goes from node to node and Enter opens a node's charts."),
      el("label", { class: "check" }, el("input", {
        type: "checkbox", checked: this.on,
        onchange: (/** @type {any} */ event) => {
          this.on = event.target.checked;
          this.storage.set(NAME, this.on ? null : "off");
        },
      }), " Single keys are shortcuts"),
      el("div", { class: "buttons" }, el("button", { type: "button", class: "button", onclick: () => this.root.close() }, "Close")));
    document.body.append(this.root);
    byId("help-button").addEventListener("click", () => this.open());
    document.addEventListener("keydown", (event) => this.key(event));
    set(byId("help-button"), "title", "Help (?)");
  }

  open() {
    if (!this.root.open) {
      this.root.showModal();
    }
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || document.querySelector("dialog[open]")) {
      return;
    }
    const target = /** @type {HTMLElement} */ (event.target);
    if (target.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(target.tagName)) {
      return;
    }
    const found = this.shortcuts.find(({ key }) => key === event.key);
    if (found && (this.on || found.key === "Escape")) {
      event.preventDefault();
      found.act();
    }
  }
}
