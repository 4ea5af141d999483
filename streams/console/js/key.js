// The API key of whoever looks: asked for, kept for this tab, forgotten.

import { byId, el, say, set } from "./dom.js";
import { Box, kept } from "./store.js";

const NAME = "hopline.key";
const CHARACTERS_MAX = 200;
const FITS = /^[\x21-\x7e]+$/;

/** Keeps the key in the tab's own storage: closing the tab forgets it, and no other site can read it. */
export class Keys {
  constructor() {
    this.storage = kept(() => sessionStorage);
    this.box = new Box(this.storage.get(NAME) ?? "");
  }

  /** The key, empty if there is none. */
  current() {
    return this.box.value;
  }

  /** @param {string} key */
  take(key) {
    this.storage.set(NAME, key);
    this.box.set(key);
  }

  forget() {
    this.storage.set(NAME, null);
    this.box.set("");
  }
}

/** The dialog that asks for it. */
export class KeyDialog {
  /**
   * @param {Keys} keys
   * @param {() => void} changed
   */
  constructor(keys, changed) {
    this.keys = keys;
    this.changed = changed;
    this.button = byId("key-button");
    this.input = el("input", {
      id: "key-input", type: "password", autocomplete: "off", autocapitalize: "off", spellcheck: "false",
      maxlength: CHARACTERS_MAX, "aria-describedby": "key-why key-note", placeholder: "hop_…",
    });
    this.why = el("p", { id: "key-why", class: "form-error", hidden: true });
    this.forgetButton = el("button", { type: "button", class: "button", id: "key-forget", onclick: () => this.forget() }, "Forget the key");
    this.root = el("dialog", { class: "dialog", id: "key-dialog", "aria-labelledby": "key-title" },
      el("form", { method: "dialog", onsubmit: (/** @type {Event} */ event) => this.submit(event) },
        el("h2", { id: "key-title" }, "API key"),
        el("p", { id: "key-note", class: "muted" },
          "The gateway gives its figures to who has a key with the permissions ",
          el("code", {}, "metric:read"), " and ", el("code", {}, "alert:read"), "; moving thresholds needs ",
          el("code", {}, "alert:write"), ". ", el("code", {}, "hopline keys create"),
          " makes one. It is kept in this tab only, until you close it or forget it."),
        el("label", { class: "field" }, el("span", {}, "Key"), this.input),
        this.why,
        el("div", { class: "buttons" },
          el("button", { type: "submit", class: "button primary", id: "key-use" }, "Use this key"),
          this.forgetButton,
          el("button", { type: "button", class: "button", onclick: () => this.root.close() }, "Close"))));
    document.body.append(this.root);
    this.button.addEventListener("click", () => this.open(""));
    keys.box.look(() => this.show());
  }

  show() {
    const has = this.keys.current() !== "";
    set(this.button, "aria-label", has ? "API key: one is in use" : "API key: none");
    set(this.button, "data-has", has ? "yes" : null);
    set(this.forgetButton, "hidden", !has);
  }

  /**
   * Ask. `why` says why the last one was not taken.
   * @param {string} why
   */
  open(why) {
    this.complain(why);
    if (!this.root.open) {
      this.input.value = "";
      this.root.showModal();
    }
    this.input.focus();
  }

  /** @param {string} why */
  complain(why) {
    say(this.why, why);
    set(this.why, "hidden", why === "");
    set(this.input, "aria-invalid", why === "" ? null : "true");
  }

  /** @param {Event} event */
  submit(event) {
    event.preventDefault();
    const key = this.input.value.trim();
    if (key === "") {
      this.complain("Type or paste the key first.");
    } else if (!FITS.test(key)) {
      this.complain("A key has no spaces and only plain letters. Copy it again, whole.");
    } else {
      this.input.value = "";
      this.root.close();
      this.keys.take(key);
      this.changed();
    }
  }

  forget() {
    this.input.value = "";
    this.root.close();
    this.keys.forget();
    this.changed();
  }
}
