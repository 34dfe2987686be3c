import { copyButton } from "./copy-button.js";
import { element, say } from "./element.js";

/** A piece of JSON that is shown on demand, and made text only then. */
export class JsonView {
  /** @type {any} */
  #value = null;

  /** @param {string} title what it is */
  constructor(title) {
    this.code = element("pre", {
      class: "json",
      tabindex: "0",
      role: "region",
      "aria-label": title,
      "data-role": "json",
    });
    this.element = element(
      "details",
      { class: "json-view", "data-role": "json-view", on: { toggle: () => this.#render() } },
      element("summary", {}, title),
      copyButton(() => this.#text(), title),
      this.code,
    );
  }

  /** @param {any} value what to show */
  show(value) {
    this.#value = value;
    this.#render();
  }

  #render() {
    if (this.element.open) say(this.code, this.#text());
  }

  #text() {
    return this.#value === null ? "" : JSON.stringify(this.#value, null, 2);
  }
}
