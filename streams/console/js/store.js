// One value that others look at: who holds it sets it, who shows it is told.

/** @template T */
export class Box {
  /** @param {T} value */
  constructor(value) {
    this.value = value;
    /** @type {Set<(value: T) => void>} */
    this.lookers = new Set();
  }

  /** @param {T} value */
  set(value) {
    this.value = value;
    for (const look of [...this.lookers]) {
      look(value);
    }
  }

  /**
   * Be told now and at each change, until the returned function is called.
   * @param {(value: T) => void} look
   * @returns {() => void}
   */
  look(look) {
    this.lookers.add(look);
    look(this.value);
    return () => this.lookers.delete(look);
  }
}

/**
 * Storage that may be forbidden or full: then what is kept lasts as long as the page.
 * @param {() => Storage} where
 */
export function kept(where) {
  /** @type {Map<string, string>} */
  const here = new Map();
  return {
    /** @param {string} name */
    get(name) {
      try {
        return where().getItem(name) ?? here.get(name) ?? null;
      } catch {
        return here.get(name) ?? null;
      }
    },
    /**
     * @param {string} name
     * @param {string | null} value
     */
    set(name, value) {
      if (value === null) {
        here.delete(name);
      } else {
        here.set(name, value);
      }
      try {
        if (value === null) {
          where().removeItem(name);
        } else {
          where().setItem(name, value);
        }
      } catch {
        // See above.
      }
    },
  };
}
