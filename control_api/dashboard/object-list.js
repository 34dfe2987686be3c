import { classColour } from "./colours.js";
import { element } from "./element.js";
import { shareWords } from "./words.js";

/**
 * Lists what was detected, best first.
 *
 * @param {HTMLElement} list an `ol`; what it held goes
 * @param {import("./boxes.js").DetectedObject[]} objects confidence 0..1
 */
export function listObjects(list, objects) {
  const items = objects.map((object) => {
    const swatch = element("span", { class: "swatch", "aria-hidden": "true" });
    swatch.style.background = classColour(object.classId);
    const meter = element("span", { class: "meter", "aria-hidden": "true" }, element("span"));
    meter.firstElementChild.style.width = `${Math.round(object.confidence * 100)}%`;
    return element(
      "li",
      { "data-class": object.type },
      swatch,
      element("span", { class: "object-type" }, object.type),
      meter,
      element("span", { class: "object-confidence" }, shareWords(object.confidence)),
    );
  });
  list.replaceChildren(...(items.length ? items : [element("li", { class: "none" }, "Nothing seen")]));
}
