// Light, dark, or as the system has it; remembered.

import { byId, say, set } from "./dom.js";
import { kept } from "./store.js";

const NAME = "hopline.theme";
const ORDER = ["auto", "light", "dark"];
const TITLES = { auto: "Auto", light: "Light", dark: "Dark" };

export class Theme {
  constructor() {
    this.storage = kept(() => localStorage);
    const found = this.storage.get(NAME) ?? "";
    this.now = ORDER.includes(found) ? found : "auto";
    this.button = byId("theme-button");
    this.button.addEventListener("click", () => this.next());
    this.show();
  }

  next() {
    this.now = ORDER[(ORDER.indexOf(this.now) + 1) % ORDER.length];
    this.storage.set(NAME, this.now === "auto" ? null : this.now);
    this.show();
  }

  show() {
    set(document.documentElement, "data-theme", this.now === "auto" ? null : this.now);
    const title = TITLES[/** @type {"auto"} */ (this.now)];
    say(byId("theme-text"), title);
    set(this.button, "aria-label", `Theme: ${title}. Switch it`);
  }
}
