import { byId, element, say } from "./element.js";
import { History } from "./history.js";
import { Sparkline } from "./sparkline.js";
import { countWords, durationWords, rateWords } from "./words.js";

/**
 * The figures that tell at a glance how it goes, each with its last two minutes.
 *
 * @typedef {{role: string, name: string, unit: string, of: (fleet: import("./fleet.js").Fleet) => number|null,
 *   words: (value: number|null) => string, note?: (fleet: import("./fleet.js").Fleet) => string,
 *   isBad?: (value: number) => boolean}} Figure
 */

/** @type {Figure[]} */
const FIGURES = [
  { role: "frames", name: "Frames", unit: "per second", of: (fleet) => fleet.framesPerS, words: rateWords },
  {
    role: "latency",
    name: "Latency",
    unit: "from capture",
    of: (fleet) => fleet.latencyMs,
    words: durationWords,
  },
  { role: "lag", name: "Lag", unit: "frames that wait", of: (fleet) => fleet.lagFrames, words: countWords },
  {
    role: "drops",
    name: "Dropped",
    unit: "per second",
    of: (fleet) => fleet.droppedPerS,
    words: rateWords,
    isBad: (value) => value > 0,
  },
  {
    role: "workers",
    name: "Workers",
    unit: "live",
    of: (fleet) => fleet.workers?.length ?? null,
    words: countWords,
    note: (fleet) => {
      const notReady = (fleet.workers ?? []).filter((worker) => !worker.is_ready).length;
      return notReady ? `live, ${notReady} not ready` : "live";
    },
    isBad: (value) => value === 0,
  },
  { role: "cameras", name: "Cameras", unit: "sending", of: (fleet) => fleet.cameraCount, words: countWords },
];

/** Shows the figures of the whole installation. */
export class Glance {
  /** @param {import("./fleet.js").Fleet} fleet where they come from */
  constructor(fleet) {
    this.fleet = fleet;
    this.parts = FIGURES.map((figure) => {
      const value = element("dd", { class: "figure-value", "data-role": "value" }, "–");
      const unit = element("dd", { class: "figure-unit" }, figure.unit);
      const spark = new Sparkline();
      const box = element(
        "dl",
        { class: "figure", "data-figure": figure.role },
        element("dt", { class: "figure-name" }, figure.name),
        value,
        unit,
      );
      const cell = element("div", { class: "figure-cell", "data-figure-cell": figure.role }, box, spark.svg);
      byId("glance").append(cell);
      return { figure, value, unit, spark, cell, history: new History() };
    });
    // One answer a second is enough; those of cameras and workers come about as often.
    fleet.addEventListener("cameras", () => this.#update());
    fleet.addEventListener("workers", () => this.#update(), { once: true });
  }

  #update() {
    if (this.fleet.workers === null || this.fleet.cameras === null || !this.fleet.isKnowing()) return;
    const nowMs = Date.now();
    for (const { figure, value, unit, spark, cell, history } of this.parts) {
      const current = figure.of(this.fleet);
      history.add(nowMs, current);
      say(value, figure.words(current));
      if (figure.note) say(unit, figure.note(this.fleet));
      cell.classList.toggle("is-bad", current !== null && (figure.isBad?.(current) ?? false));
      spark.draw(history, nowMs);
    }
  }
}
