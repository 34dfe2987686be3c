import { element, say } from "./element.js";
import { Pace } from "./pace.js";
import { PictureCanvas } from "./picture-canvas.js";
import { ageWords, durationWords, objectsWords, rateWords } from "./words.js";

const SUMMARY_INTERVAL_MS = 2_000;
// Pictures come a little late always; from here on it is worth saying.
const OLD_S = 3;

let tiles = 0;

/** One camera on the wall. */
export class Tile {
  /** @type {import("./live-feed.js").Frame|null} */
  frame = null;
  #startsOver = false;
  #summary = new Pace(SUMMARY_INTERVAL_MS, (words) => say(this.summary, words));

  /**
   * @param {import("./camera-roll.js").Camera} camera the camera
   * @param {import("./server-clock.js").ServerClock} clock tells how old pictures are
   * @param {() => void} open shows it large
   */
  constructor(camera, clock, open) {
    this.camera = camera;
    this.clock = clock;
    const id = `tile-${++tiles}`;
    this.canvas = element("canvas", {
      class: "tile-canvas",
      "data-role": "canvas",
      "data-camera": camera.camera,
    });
    this.age = element("span", { class: "tile-age", "data-role": "age", hidden: true });
    this.state = element("span", { class: "tile-state", "data-role": "state", id: `${id}-state` });
    this.summary = element("span", { class: "tile-summary", id: `${id}-summary`, "data-role": "summary" });
    this.figures = element("span", { class: "tile-figures", id: `${id}-figures`, "data-role": "figures" });
    this.drops = element("span", {
      class: "tile-drops",
      id: `${id}-drops`,
      "data-role": "drops",
      hidden: true,
    });
    // The button is its name alone, laid over the whole tile by CSS: what changes every second describes it.
    this.button = element(
      "button",
      {
        type: "button",
        class: "tile-open",
        title: camera.camera,
        "data-role": "open",
        "aria-haspopup": "dialog",
        "aria-describedby": `${id}-state ${id}-summary ${id}-figures ${id}-drops`,
        on: { click: open },
      },
      camera.camera,
    );
    this.element = element(
      "li",
      { class: "tile", "data-camera": camera.camera, "data-model": camera.model },
      element(
        "div",
        { class: "tile-card" },
        element("div", { class: "tile-screen" }, this.canvas, this.state, this.age),
        element("div", { class: "tile-caption" }, this.button, this.figures, this.summary, this.drops),
      ),
    );
    this.picture = new PictureCanvas(this.canvas);
    this.update(camera);
  }

  /** @returns {string|null} the place on the bus of the frame it has */
  get place() {
    return this.#startsOver ? null : (this.frame?.place ?? null);
  }

  /** Whatever comes next is newer than what it has: the bus may be another one by now. */
  startOver() {
    this.#startsOver = true;
  }

  /** @param {import("./camera-roll.js").Camera} camera what is known of it now */
  update(camera) {
    this.camera = camera;
    say(this.figures, `${rateWords(camera.framesPerS)}/s · ${durationWords(camera.latencyMs)}`);
    this.drops.hidden = camera.droppedPerS <= 0;
    say(this.drops, `${rateWords(camera.droppedPerS)}/s dropped`);
    this.tick();
  }

  /**
   * Shows a frame.
   *
   * @param {import("./live-feed.js").Frame} frame the frame
   * @returns {Promise<void>} when it is drawn
   */
  async take(frame) {
    this.frame = frame;
    this.#startsOver = false;
    this.#summary.push(objectsWords(frame.message.objects));
    await this.picture.show(shownOf(frame));
    this.tick();
  }

  /** Says how old things are by now. */
  tick() {
    const ageS = this.frame ? this.clock.ageS(this.frame.message.timestamp) : 0;
    const isOld = this.frame !== null && ageS > OLD_S;
    this.age.hidden = !isOld || !this.camera.isSending;
    if (isOld) say(this.age, `${ageWords(ageS)} ago`);
    const [state, words] = this.#state();
    this.element.dataset.state = state;
    say(this.state, words);
  }

  /** Lets go of its picture. */
  close() {
    this.picture.close();
    this.element.remove();
  }

  #state() {
    if (!this.camera.isSending)
      return ["silent", `Silent for ${ageWords(this.clock.ageS(this.camera.lastFrameAt))}`];
    if (this.frame === null) return ["waiting", "Waiting for a picture"];
    if (this.frame.picture === null) return ["missing", "The picture is no longer kept"];
    if (this.canvas.dataset.picture === "broken") return ["broken", "This browser cannot show the picture"];
    return ["live", ""];
  }
}

/** @param {import("./live-feed.js").Frame} frame a frame @returns {import("./picture-canvas.js").Shown} for a canvas */
export function shownOf({ place, picture, message }) {
  return { place, picture, image: message.image, objects: message.objects };
}
