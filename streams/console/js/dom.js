// Elements, made and changed. What comes from data is always text: nothing here, or anywhere, parses markup.

const SVG = "http://www.w3.org/2000/svg";

/** @typedef {Node | string | null | undefined | false} Child */
/** @typedef {Record<string, string | number | boolean | null | undefined | ((event: any) => void)>} Attributes */

/**
 * Make an HTML element. Attributes that begin with `on` are listeners.
 * @param {string} tag
 * @param {Attributes} [attributes]
 * @param {...Child} children
 * @returns {any}
 */
export function el(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/**
 * Make an SVG element.
 * @param {string} tag
 * @param {Attributes} [attributes]
 * @param {...Child} children
 * @returns {any}
 */
export function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

/**
 * @param {Element} element
 * @param {Attributes} attributes
 * @param {Child[]} children
 */
function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") {
      element.addEventListener(name.slice(2), value);
    } else {
      set(element, name, value);
    }
  }
  for (const child of children) {
    if (child !== null && child !== undefined && child !== false) {
      element.append(child);
    }
  }
  return element;
}

/**
 * Set an attribute, or take it away; nothing happens if it is so already.
 * @param {Element} element
 * @param {string} name
 * @param {unknown} value
 */
export function set(element, name, value) {
  if (value === null || value === undefined || value === false) {
    if (element.hasAttribute(name)) {
      element.removeAttribute(name);
    }
    return;
  }
  const text = value === true ? "" : String(value);
  if (element.getAttribute(name) !== text) {
    element.setAttribute(name, text);
  }
}

/**
 * Set an element's text if it is another one: what did not change is not read out again.
 * @param {Element} element
 * @param {string} text
 */
export function say(element, text) {
  if (element.textContent !== text) {
    element.textContent = text;
  }
}

/**
 * The element of this id, which the page has.
 * @param {string} id
 * @returns {any}
 */
export function byId(id) {
  const found = document.getElementById(id);
  if (!found) {
    throw new Error(`the page has no #${id}`);
  }
  return found;
}

/**
 * Return an address that may stand in a link: http or https, else nothing. A label may say `javascript:`.
 * @param {unknown} text
 * @returns {string | null}
 */
export function webAddress(text) {
  if (typeof text !== "string" || !/^https?:\/\//i.test(text)) {
    return null;
  }
  try {
    return new URL(text).href;
  } catch {
    return null;
  }
}

/**
 * Children of one element, one for each item: kept while their item is there, so that focus and open forms stay.
 * @template T
 */
export class Rows {
  /**
   * @param {Element} host
   * @param {(item: T) => {root: Element, show: (item: T) => void, end?: () => void}} make
   */
  constructor(host, make) {
    this.host = host;
    this.make = make;
    /** @type {Map<string, {root: Element, show: (item: T) => void, end?: () => void}>} */
    this.rows = new Map();
  }

  /**
   * @param {T[]} items
   * @param {(item: T) => string} keyOf
   */
  show(items, keyOf) {
    const seen = new Set();
    let before = /** @type {Element | null} */ (this.host.firstElementChild);
    for (const item of items) {
      const key = keyOf(item);
      if (seen.has(key)) {
        continue;
      }
      seen.add(key);
      let row = this.rows.get(key);
      if (!row) {
        row = this.make(item);
        this.rows.set(key, row);
      }
      row.show(item);
      if (row.root === before) {
        before = before.nextElementSibling;
      } else {
        this.place(row.root, before);
      }
    }
    for (const [key, row] of this.rows) {
      if (!seen.has(key)) {
        row.end?.();
        row.root.remove();
        this.rows.delete(key);
      }
    }
  }

  /**
   * Put a row where it belongs. Moving takes the focus away from what is in it, so give it back.
   * @param {Element} root
   * @param {Element | null} before
   */
  place(root, before) {
    const focused = root.contains(document.activeElement) ? document.activeElement : null;
    this.host.insertBefore(root, before);
    if (focused instanceof HTMLElement || focused instanceof SVGElement) {
      focused.focus({ preventScroll: true });
    }
  }
}
