import { byId, element, icon, say } from "./element.js";
import { JsonView } from "./json-view.js";
import { listObjects } from "./object-list.js";
import { Pace } from "./pace.js";
import { PictureCanvas } from "./picture-canvas.js";
import { shownOf } from "./tile.js";
import { ageWords, clockWords, durationWords, objectsWords, rateWords } from "./words.js";

// As often as pictures come, so that the list speaks of the picture beside it.
const LIST_INTERVAL_MS = 150;
const SPOKEN_INTERVAL_MS = 5_000;
const [PREVIOUS, NEXT, CLOSE] = ["M15 5l-7 7 7 7", "M9 5l7 7-7 7", "M6 6l12 12M18 6 6 18"];

/** One camera large, in a dialog, with what is on its picture beside it. */
export class Enlarged {
  /** @type {import("./tile.js").Tile|null} */
  #tile = null;
  #isHeld = false;
  #list = new Pace(LIST_INTERVAL_MS, (frame) => this.#describe(frame));
  #spoken = new Pace(SPOKEN_INTERVAL_MS, (words) => say(this.spoken, words));

  /**
   * @param {import("./server-clock.js").ServerClock} clock tells how old pictures are
   * @param {{close: () => void, step: (by: -1|1) => void}} on what to do when the viewer wants to close it, or the
   *   camera beside it
   */
  constructor(clock, on) {
    this.clock = clock;
    this.on = on;
    this.dialog = /** @type {HTMLDialogElement} */ (byId("enlarged"));
    this.canvas = element("canvas", {
      "data-role": "enlarged-canvas",
      role: "img",
      "aria-label": "The camera's picture; its objects are listed beside it",
    });
    this.picture = new PictureCanvas(this.canvas);
    this.json = new JsonView("Message as JSON");
    this.#build();
    this.dialog.addEventListener("close", () => this.#closed());
    this.dialog.addEventListener("keydown", (event) => this.#key(event));
    this.dialog.addEventListener("click", (event) => event.target === this.dialog && this.dialog.close());
  }

  /** @returns {import("./tile.js").Tile|null} the camera that is shown */
  get tile() {
    return this.#tile;
  }

  /**
   * Shows a camera.
   *
   * @param {import("./tile.js").Tile} tile the camera
   * @param {number} nth its number on the wall, from 0
   * @param {number} count how many cameras there are
   */
  open(tile, nth, count) {
    if (this.#tile !== tile) {
      this.#tile = tile;
      this.#hold(false);
      say(this.heading, tile.camera.camera);
      for (const node of [this.dialog, this.canvas]) node.dataset.camera = tile.camera.camera;
      this.json.show(null);
      this.list.replaceChildren();
      say(this.spoken, "");
      this.picture.show(tile.frame && shownOf(tile.frame));
      if (tile.frame) this.#list.push(tile.frame);
    }
    say(this.position, `${nth + 1} of ${count}`);
    for (const button of [this.previous, this.next]) button.disabled = count < 2;
    if (!this.dialog.open) this.dialog.showModal();
    this.tick();
  }

  /** Closes it. */
  close() {
    if (this.dialog.open) this.dialog.close();
  }

  /** @param {import("./live-feed.js").Frame} frame the camera's newest frame @returns {Promise<void>} when it is drawn */
  async take(frame) {
    if (this.#isHeld) return;
    this.#list.push(frame);
    this.#spoken.push(objectsWords(frame.message.objects));
    await this.picture.show(shownOf(frame));
    this.tick();
  }

  /** Says how old things are by now. */
  tick() {
    if (!this.#tile) return;
    const { camera, frame } = this.#tile;
    this.dialog.dataset.state = this.#tile.element.dataset.state;
    const rate = `${rateWords(camera.framesPerS)} frames/s · ${rateWords(camera.droppedPerS)} dropped/s`;
    say(this.rate, camera.isSending ? rate : `Silent for ${ageWords(this.clock.ageS(camera.lastFrameAt))}`);
    const words = this.#isHeld ? "Held" : (this.#tile.state.textContent ?? "");
    this.state.hidden = words === "";
    say(this.state, words);
    if (frame && !this.#isHeld) say(this.age, `${ageWords(this.clock.ageS(frame.message.timestamp))} ago`);
  }

  #describe(frame) {
    if (frame !== this.#tile?.frame && !this.#isHeld) return; // of the camera before
    const { message } = frame;
    listObjects(this.list, message.objects);
    say(this.count, message.objects.length === 1 ? "1 object" : `${message.objects.length} objects`);
    const { timing, model, image } = message;
    const facts = [
      ["Taken", clockWords(message.timestamp)],
      ["Picture", `${image.width} × ${image.height}`],
      ["Capture to detections", durationWords(timing?.totalMs)],
      ["Waited for a batch", durationWords(timing?.waitMs)],
      ["Decoding", durationWords(timing?.decodeMs)],
      ["Inference, whole batch", durationWords(timing?.inferMs)],
      ["Model version", model?.version ?? "–"],
      ["Kept from", `${model?.confidence} %, at most ${model?.predictions}`],
    ];
    this.facts.replaceChildren(
      ...facts.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]),
    );
    this.json.show(message);
  }

  #hold(isHeld) {
    this.#isHeld = isHeld;
    say(this.holdButton, isHeld ? "Go on" : "Hold");
    this.tick();
  }

  #closed() {
    const tile = this.#tile;
    this.#tile = null;
    this.picture.show(null);
    this.on.close();
    tile?.button.focus();
  }

  #key(event) {
    // Up and down scroll what is beside the picture, and the JSON scrolls sideways too.
    if (event.altKey || event.ctrlKey || event.metaKey || event.target === this.json.code) return;
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!by) return;
    event.preventDefault();
    this.on.step(/** @type {-1|1} */ (by));
  }

  #build() {
    const button = (role, label, path, act) =>
      element(
        "button",
        { type: "button", class: "button icon", "data-role": role, "aria-label": label, on: { click: act } },
        icon(path),
      );
    this.heading = element("h2", { id: "enlarged-heading" });
    this.position = element("span", { class: "enlarged-position", "data-role": "position" });
    this.rate = element("span", { class: "enlarged-rate", "data-role": "rate" });
    this.previous = button("previous", "Camera before", PREVIOUS, () => this.on.step(-1));
    this.next = button("next", "Next camera", NEXT, () => this.on.step(1));
    this.closeButton = button("close", "Close", CLOSE, () => this.dialog.close());
    this.closeButton.autofocus = true;
    this.holdButton = element(
      "button",
      {
        type: "button",
        class: "button small",
        "data-role": "hold",
        on: { click: () => this.#hold(!this.#isHeld) },
      },
      "Hold",
    );
    this.state = element("p", { class: "enlarged-state", "data-role": "enlarged-state", hidden: true });
    this.age = element("span", { "data-role": "enlarged-age" });
    this.count = element("h3", { "data-role": "object-count" }, "Objects");
    this.list = element("ol", { class: "objects", "data-role": "objects", role: "list" });
    this.facts = element("dl", { class: "facts", "data-role": "facts" });
    this.spoken = element("p", { class: "unseen", role: "status", "data-role": "enlarged-summary" });
    this.dialog.append(
      element(
        "div",
        { class: "enlarged-head" },
        element("div", { class: "enlarged-title" }, this.heading, this.rate, this.age),
        this.holdButton,
        this.previous,
        this.position,
        this.next,
        this.closeButton,
      ),
      element(
        "div",
        { class: "enlarged-body" },
        element("div", { class: "enlarged-screen" }, this.canvas, this.state),
        element(
          "div",
          { class: "enlarged-side", tabindex: "0", role: "region", "aria-label": "What is on the picture" },
          this.spoken,
          this.count,
          this.list,
          this.facts,
          this.json.element,
        ),
      ),
    );
  }
}
