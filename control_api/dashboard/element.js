/**
 * Makes an element. Text only ever becomes text nodes, so nothing that a camera or a label is named can be markup.
 *
 * @param {string} tag name of the element
 * @param {Record<string, any>} [attributes] attributes; `on` holds listeners by event, `class` the classes;
 *   true is an attribute without a value, and false, null and undefined leave one out
 * @param {...(Node|string|null|undefined)} children what goes inside
 * @returns {any} the element
 */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "on") {
      for (const [event, listener] of Object.entries(value)) made.addEventListener(event, listener);
    } else if (value !== false && value !== null && value !== undefined) {
      made.setAttribute(name, value === true ? "" : String(value));
    }
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

const SVG = "http://www.w3.org/2000/svg";

/**
 * An icon of strokes, which screen readers pass over.
 *
 * @param {string} path the strokes, in a square of 24
 * @returns {SVGSVGElement} the icon
 */
export function icon(path) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const strokes = document.createElementNS(SVG, "path");
  strokes.setAttribute("d", path);
  svg.append(strokes);
  return svg;
}

/**
 * Says something else in an element; what is said already stays untouched, so that no screen reader repeats it.
 *
 * @param {Element} where the element
 * @param {string} text what it says from now on
 */
export function say(where, text) {
  if (where.textContent !== text) where.textContent = text;
}

/**
 * An element of the page by its id.
 *
 * @param {string} id the id
 * @returns {any} the element
 */
export function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`index.html has no element #${id}`);
  return found;
}
