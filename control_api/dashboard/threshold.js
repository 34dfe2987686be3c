import { element, say } from "./element.js";

let made = 0;

/**
 * One threshold of a model: a slider, the same as a number, what is in force, and the way back to config.json.
 *
 * @typedef {{name: "confidence"|"predictions", title: string, hint: string, min: number, max: number, unit: string}} Kind
 */

/** @type {Kind[]} */
export const THRESHOLDS = [
  {
    name: "confidence",
    title: "Confidence",
    hint: "lowest score that counts, in percent",
    min: 0,
    max: 100,
    unit: "%",
  },
  {
    name: "predictions",
    title: "Predictions",
    hint: "objects per frame at most, best first",
    min: 1,
    max: 100,
    unit: "",
  },
];

/** The control of one threshold. */
export class Threshold {
  /**
   * @param {Kind} kind which
   * @param {string} model whose, for the names of the controls
   * @param {(value: number|null) => void} change called with each new value; null: as in config.json
   */
  constructor(kind, model, change) {
    this.kind = kind;
    const id = `threshold-${++made}`;
    const common = {
      min: kind.min,
      max: kind.max,
      "data-threshold": kind.name,
      "aria-describedby": `${id}-hint ${id}-force`,
    };
    this.slider = element("input", { ...common, type: "range", step: 1, id, "data-role": "slider" });
    this.number = element("input", {
      ...common,
      type: "number",
      step: kind.name === "confidence" ? "any" : 1,
      inputmode: kind.name === "confidence" ? "decimal" : "numeric",
      "aria-label": `${kind.title} of ${model}${kind.unit ? ", in percent" : ""}`,
      "data-role": "number",
    });
    this.inForce = element("span", { class: "in-force", id: `${id}-force`, "data-role": "in-force" });
    this.badge = element("span", { class: "tag", "data-role": "overridden", hidden: true }, "overridden");
    this.back = element(
      "button",
      {
        type: "button",
        class: "button small",
        "data-role": "back",
        "aria-label": `${kind.title} of ${model}: back to config.json`,
        on: { click: () => change(null) },
      },
      "Back to config.json",
    );
    this.element = element(
      "div",
      { class: "threshold", "data-threshold": kind.name },
      element("label", { for: id }, kind.title),
      element("span", { class: "threshold-hint", id: `${id}-hint` }, kind.hint),
      this.slider,
      element(
        "span",
        { class: "threshold-number" },
        this.number,
        element("span", { "aria-hidden": "true" }, kind.unit),
      ),
      element("span", { class: "threshold-foot" }, this.inForce, this.badge, this.back),
    );
    this.slider.addEventListener("input", () => this.#changed(this.slider, change));
    this.number.addEventListener(
      "input",
      () => this.number.value !== "" && this.number.checkValidity() && this.#changed(this.number, change),
    );
    this.number.addEventListener("change", () => this.number.reportValidity());
  }

  /**
   * Shows what is in force.
   *
   * @param {number} value the threshold
   * @param {boolean} isOverridden whether it comes from elsewhere than config.json
   * @param {boolean} isSettled whether the controls are to follow: not while the viewer moves them
   */
  show(value, isOverridden, isSettled) {
    say(this.inForce, `in force: ${Number(value.toFixed(2))}${this.kind.unit ? ` ${this.kind.unit}` : ""}`);
    this.badge.hidden = !isOverridden;
    this.back.hidden = !isOverridden;
    // A config.json may keep more than a slider is good for.
    this.number.max = String(Math.max(this.kind.max, value));
    if (!isSettled) return;
    this.slider.value = String(value);
    if (document.activeElement !== this.number || this.number.checkValidity())
      this.number.value = String(Number(value.toFixed(2)));
    this.#fill();
  }

  /** @param {boolean} isAllowed whether the viewer may change it */
  allow(isAllowed) {
    for (const control of [this.slider, this.number, this.back]) control.disabled = !isAllowed;
  }

  #changed(from, change) {
    const value = Number(from.value);
    const other = from === this.slider ? this.number : this.slider;
    other.value = String(value);
    this.#fill();
    change(value);
  }

  #fill() {
    const { min, max } = this.kind;
    this.slider.style.setProperty("--share", `${((Number(this.slider.value) - min) / (max - min)) * 100}%`);
  }
}
