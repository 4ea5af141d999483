// The contrast of each text and sign that is seen, against what lies behind it (WCAG 2). Run by test_looks.py.
const parse = (colour) => {
  const found = /^rgba?\(([\d.]+)[, ]+([\d.]+)[, ]+([\d.]+)(?:[,/ ]+([\d.]+%?))?\)$/.exec(colour);
  if (!found) {
    return null;
  }
  const alpha = found[4] === undefined ? 1 : found[4].endsWith("%") ? parseFloat(found[4]) / 100 : Number(found[4]);
  return [Number(found[1]), Number(found[2]), Number(found[3]), alpha];
};
const over = (top, ground) => [0, 1, 2].map((index) => top[index] * top[3] + ground[index] * (1 - top[3])).concat(1);
const light = (colour) => {
  const [red, green, blue] = colour.slice(0, 3).map((each) => {
    const part = each / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
};
const ratio = (one, other) => {
  const [high, low] = [light(one), light(other)].sort((a, b) => b - a);
  return (high + 0.05) / (low + 0.05);
};
const groundOf = (element) => {
  const above = [];
  for (let each = element; each; each = each.parentElement) {
    const box = each.classList.contains("node") ? each.querySelector(".box") : null;
    const colour = parse(box ? getComputedStyle(box).fill : getComputedStyle(each).backgroundColor);
    if (colour && colour[3] > 0) {
      above.push(colour);
      if (colour[3] === 1) {
        break;
      }
    }
  }
  return above.reverse().reduce((ground, colour) => over(colour, ground), [255, 255, 255, 1]);
};
const seen = (element) => {
  const style = getComputedStyle(element);
  const box = element.getBoundingClientRect();
  return style.visibility === "visible" && style.display !== "none" && box.width > 1 && box.height > 1
    && !element.closest(".unseen, .skip, [hidden], details:not([open]) > :not(summary)");
};
const nameOf = (element) => `${element.tagName.toLowerCase()}.${element.getAttribute("class") ?? ""} in ${element.parentElement?.getAttribute("class") ?? element.parentElement?.tagName}`;
const measure = (element, colour, ground) => ({
  what: nameOf(element), ratio: ratio(over(colour, ground), ground), colour: colour.join(" "), ground: ground.map(Math.round).join(" "),
});
const text = [];
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
for (let node = walker.nextNode(); node; node = walker.nextNode()) {
  const element = node.parentElement;
  if (node.data.trim() && seen(element) && !element.closest("title, option, datalist, noscript")) {
    const style = getComputedStyle(element);
    const colour = parse(element.namespaceURI.endsWith("svg") ? style.fill : style.color);
    const chip = element.classList.contains("cross-time") ? parse(getComputedStyle(element.parentElement.querySelector(".cross-chip")).fill) : null;
    text.push(measure(element, colour, chip ?? groundOf(element)));
  }
}
for (const input of document.querySelectorAll("input[placeholder]")) {
  if (seen(input)) {
    text.push(measure(input, parse(getComputedStyle(input, "::placeholder").color), groundOf(input)));
  }
}
const graphics = [];
for (const shape of document.querySelectorAll(".sign .shape, .series, .swatch, .bar-fill, .dot, .choice, input:not([type=radio], [type=checkbox]), .button")) {
  if (!seen(shape)) {
    continue;
  }
  const style = getComputedStyle(shape);
  const ground = groundOf(shape.closest(".sign, .dot, .bar-fill, input, .button, .choice") ? shape.closest(".sign, .dot, .bar-fill, input, .button, .choice").parentElement : shape.parentElement);
  const colours = [style.fill, style.stroke, style.backgroundColor, style.borderTopColor].map(parse).filter((each) => each && each[3] > 0);
  const own = shape.namespaceURI.endsWith("svg") ? colours.slice(0, 2) : colours;
  const best = own.map((colour) => measure(shape, colour, ground)).sort((one, other) => other.ratio - one.ratio)[0];
  if (best) {
    graphics.push(best);
  }
}
return { text, graphics };
