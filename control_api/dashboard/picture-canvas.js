import { drawBoxes } from "./boxes.js";
import { Lanes } from "./lanes.js";
import { PaintQueue } from "./paint-queue.js";
import { withoutExif } from "./upright.js";

const DECODED_AT_ONCE = 4;
const HIGHEST_RATIO = 3;

const queue = new PaintQueue();
const lanes = new Lanes(DECODED_AT_ONCE);

/**
 * A frame and what was seen on it.
 *
 * @typedef {{place: string|null, picture: Blob|null, image: {width: number, height: number},
 *   objects: import("./boxes.js").DetectedObject[]}} Shown
 */

/**
 * A canvas that shows one frame with its boxes, sharp at any size. It keeps the encoded picture, which is small, to
 * draw it again when its size changes, and never a decoded one.
 *
 * The canvas says what is on it: `data-place` (the frame's place on the bus), `data-boxes` (how many are drawn),
 * `data-picture` (`shown`, `missing` or `broken`) and `data-painted-at` (ms since 1970).
 */
export class PictureCanvas {
  /** @type {Shown|null} */
  #shown = null;
  #widthPx = 0;
  #heightPx = 0;

  /** @param {HTMLCanvasElement} canvas its CSS gives its size */
  constructor(canvas) {
    this.canvas = canvas;
    this.context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d", { alpha: false }));
    this.observer = new ResizeObserver(([{ contentRect }]) =>
      this.#resize(contentRect.width, contentRect.height),
    );
    this.observer.observe(canvas);
  }

  /** @returns {Shown|null} what it shows */
  get shown() {
    return this.#shown;
  }

  /**
   * Shows a frame.
   *
   * @param {Shown|null} shown the frame and its boxes; null shows nothing
   * @returns {Promise<void>} when it is drawn, or something newer is
   */
  async show(shown) {
    this.#shown = shown;
    await this.#draw();
  }

  /** Lets go of everything. */
  close() {
    this.observer.disconnect();
    this.#shown = null;
    this.canvas.width = this.canvas.height = 0;
  }

  #resize(widthPx, heightPx) {
    if (widthPx === this.#widthPx && heightPx === this.#heightPx) return;
    this.#widthPx = widthPx;
    this.#heightPx = heightPx;
    this.#draw();
  }

  async #draw() {
    const shown = this.#shown;
    if (shown === null) {
      await queue.add(() => this.#paint(null, null));
    } else if (shown.picture === null) {
      await queue.add(() => this.#shown === shown && this.#paint(shown, null));
    } else {
      await lanes.run(() => this.#decodeAndPaint(shown));
    }
  }

  async #decodeAndPaint(shown) {
    if (this.#shown !== shown || !this.#widthPx) return; // something newer came, or nobody sees it
    const bitmap = await decoded(shown.picture);
    try {
      await queue.add(() => this.#shown === shown && this.#paint(shown, bitmap));
    } finally {
      bitmap?.close();
    }
  }

  #paint(shown, bitmap) {
    const ratio = Math.min(window.devicePixelRatio || 1, HIGHEST_RATIO);
    const [width, height] = [Math.round(this.#widthPx * ratio), Math.round(this.#heightPx * ratio)];
    if (!width || !height) return;
    // Setting the size clears the canvas and takes new memory, so only where it changed.
    if (this.canvas.width !== width || this.canvas.height !== height)
      [this.canvas.width, this.canvas.height] = [width, height];
    const { context, canvas } = this;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.fillStyle = "#0b0e13";
    context.fillRect(0, 0, width, height);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    if (shown === null) return this.#unlabel();
    const area = fitted(shown.image, this.#widthPx, this.#heightPx);
    if (bitmap) {
      context.imageSmoothingQuality = "medium";
      context.drawImage(bitmap, area.x, area.y, area.width, area.height);
    } else {
      context.fillStyle = "#1c222c";
      context.fillRect(area.x, area.y, area.width, area.height);
    }
    drawBoxes(context, shown.objects, area, shown.image);
    canvas.dataset.place = shown.place ?? "";
    canvas.dataset.boxes = String(shown.objects.length);
    canvas.dataset.picture = bitmap ? "shown" : shown.picture ? "broken" : "missing";
    canvas.dataset.paintedAt = String(Date.now());
  }

  #unlabel() {
    for (const name of ["place", "boxes", "picture", "paintedAt"]) delete this.canvas.dataset[name];
  }
}

/** @param {Blob} picture a picture's file @returns {Promise<ImageBitmap|null>} null if this browser cannot read it */
export async function decoded(picture) {
  try {
    return await createImageBitmap(await withoutExif(picture));
  } catch {
    return null;
  }
}

function fitted(image, widthPx, heightPx) {
  const scale = Math.min(widthPx / image.width, heightPx / image.height);
  const [width, height] = [image.width * scale, image.height * scale];
  return { x: (widthPx - width) / 2, y: (heightPx - height) / 2, width, height };
}
