import { modelPath } from "./api.js";
import { element, say } from "./element.js";
import { Pace } from "./pace.js";
import { Threshold, THRESHOLDS } from "./threshold.js";
import { sentence } from "./words.js";

// At most four changes a second while a slider is dragged.
const INTERVAL_MS = 250;

/** The thresholds of one model, and the way of a change to all workers. */
export class Thresholds {
  /** @type {Record<string, number|null>} what is to be sent next */
  #pending = {};
  #settledMs = 0;
  /** @type {any} */
  #details = null;
  #pace = new Pace(INTERVAL_MS, () => this.#send());

  /** @param {import("./api.js").Api} api the API @param {string} model the model */
  constructor(api, model) {
    this.api = api;
    this.model = model;
    this.controls = THRESHOLDS.map(
      (kind) => new Threshold(kind, model, (value) => this.#change(kind.name, value)),
    );
    this.complaint = element("p", { class: "complaint", role: "alert", "data-role": "config-complaint" });
    this.told = element("p", { class: "told", role: "status", "data-role": "config-told" });
    this.element = element(
      "fieldset",
      { class: "thresholds", "data-role": "thresholds" },
      element("legend", {}, "What counts as a detection"),
      ...this.controls.map((control) => control.element),
      this.told,
      this.complaint,
    );
  }

  /**
   * Shows what is in force.
   *
   * @param {any} details of the model
   * @param {number} askedMs when they were asked for; what was asked before a change was in force does not tell of it
   * @param {boolean} mayChange whether the viewer may change them
   */
  update(details, askedMs, mayChange) {
    this.element.hidden = details.thresholds === null;
    for (const control of this.controls) control.allow(mayChange);
    if (details.thresholds === null || askedMs < this.#settledMs) return;
    this.#details = details;
    this.#show(!this.#pace.isBusy);
  }

  #show(isSettled) {
    const { thresholds, overridden } = this.#details;
    for (const control of this.controls) {
      control.show(thresholds[control.kind.name], overridden.includes(control.kind.name), isSettled);
    }
  }

  #change(name, value) {
    this.#pending[name] = value;
    say(this.told, "");
    this.#pace.push();
  }

  async #send() {
    const changes = this.#pending;
    this.#pending = {};
    if (!Object.keys(changes).length) return;
    this.element.setAttribute("aria-busy", "true");
    try {
      const config = await this.api.send(`${modelPath(this.model)}/config`, {
        method: "PATCH",
        json: changes,
      });
      this.#settledMs = performance.now();
      const { confidence, predictions, overridden } = config;
      this.#details = { ...this.#details, thresholds: { confidence, predictions }, overridden };
      say(this.complaint, "");
    } catch (error) {
      this.#settledMs = performance.now();
      say(this.complaint, sentence(error.message));
    }
    if (Object.keys(this.#pending).length) return; // the viewer has moved on
    this.element.removeAttribute("aria-busy");
    if (!this.complaint.textContent) say(this.told, "In force on every worker that has the model.");
    // Now the controls show what is in force, as a refused change is not.
    this.#show(true);
  }
}
