import { byId, element, say } from "./element.js";
import { ageWords, clockWords, sentence } from "./words.js";

// One request that fails may be chance; this long without any answer is not.
const PATIENCE_MS = 2_500;

/**
 * Whether the API is there, and behind it the bus: the light in the header, and the banner that says what is known.
 * What is on the page greys out while it is not known to hold any more.
 */
export class Connection {
  /** @type {string|null} */
  #notReady = null;
  #why = "";
  #said = "";
  #answeredMs = 0;
  #isReachable = true;
  #failingSinceMs = 0;

  /** @param {import("./api.js").Api} api the API @param {() => void} recovered called when API and bus are back */
  constructor(api, recovered) {
    this.api = api;
    this.recovered = recovered;
    api.addEventListener("answered", () => {
      this.#answeredMs = Date.now();
      this.#failingSinceMs = 0;
      if (this.#isReachable) return;
      this.#set(true);
      recovered();
    });
    api.addEventListener("unreachable", (event) => {
      this.#why = /** @type {CustomEvent} */ (event).detail;
      this.#failingSinceMs ||= Date.now();
      const isLost = this.#answeredMs === 0 || Date.now() - this.#failingSinceMs >= PATIENCE_MS;
      if (isLost && this.#isReachable) this.#set(false);
    });
    setInterval(() => this.#isReachable || this.show(), 1_000);
  }

  /** @returns {boolean} whether the API answers, and knows of all that is on the bus */
  get isKnowing() {
    return this.#isReachable && this.#notReady === null;
  }

  /** Asks whether the API is ready. */
  async refresh() {
    const wasReady = this.#notReady === null;
    this.#notReady = await this.api.notReady();
    this.show();
    if (!wasReady && this.isKnowing) this.recovered();
  }

  #set(isReachable) {
    this.#isReachable = isReachable;
    this.show();
  }

  /** Shows what is known now. */
  show() {
    if (!this.#isReachable) {
      const known = this.#answeredMs
        ? `What you see is what was known at ${clockWords(this.#answeredMs)}.`
        : "Nothing was heard of it yet.";
      this.#tell("lost", "No connection", `The control API does not answer: ${this.#why}. ${known}`);
    } else if (this.#notReady === "listening for workers") {
      this.#tell("starting", "Starting", "The API has just started, and listens for workers.");
    } else if (this.#notReady !== null) {
      this.#tell("bus", "Bus gone", `${sentence(this.#notReady)} What you see is what was known last.`);
    } else {
      this.#tell("ok", "Connected", "");
    }
  }

  #tell(state, health, words) {
    document.body.dataset.connection = state;
    byId("health").dataset.state = state;
    say(/** @type {Element} */ (byId("health").querySelector('[data-role="health-words"]')), health);
    const banner = byId("banner");
    banner.dataset.state = state;
    if (state === "ok") banner.replaceChildren();
    else if (this.#said !== words) {
      banner.replaceChildren(
        element("strong", {}, `${health}. `),
        element("span", {}, `${words} This page recovers by itself.`),
        // The seconds go on, and a screen reader should not hear each of them.
        element("span", { class: "banner-since", "aria-hidden": "true" }),
      );
    }
    this.#said = words;
    const since = banner.querySelector(".banner-since");
    if (since)
      say(
        since,
        state === "lost" && this.#answeredMs
          ? `for ${ageWords((Date.now() - this.#answeredMs) / 1_000)}`
          : "",
      );
  }
}
