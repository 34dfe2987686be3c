import { meanLatencyMs, sum } from "./fleet.js";

// Longer than anybody waits for a camera that was switched off to come back.
const FORGOTTEN_MS = 30 * 60_000;
const byName = new Intl.Collator(undefined, { numeric: true }).compare;

/**
 * A camera's frames on their way through one model.
 *
 * @typedef {{camera: string, model: string, framesPerS: number, droppedPerS: number, latencyMs: number|null,
 *   lastFrameAt: string, isSending: boolean, heardMs: number}} Camera
 */

/** The cameras of each model: those that send, and for a while those that fell silent. */
export class CameraRoll {
  /** @type {Map<string, Camera>} */
  #cameras = new Map();

  /**
   * Takes what the API says.
   *
   * @param {import("./fleet.js").CameraView[]} views one per camera, model and worker
   * @param {number} nowMs when, in ms since 1970
   */
  update(views, nowMs) {
    for (const camera of this.#cameras.values()) camera.isSending = false;
    // While partitions move from one worker to another, both speak of the same camera.
    for (const [key, same] of grouped(views)) {
      this.#cameras.set(key, {
        camera: same[0].camera,
        model: same[0].model,
        framesPerS: sum(same.map((view) => view.frames_per_s)),
        droppedPerS: sum(same.map((view) => view.dropped_per_s)),
        latencyMs: meanLatencyMs(same),
        lastFrameAt: same.map((view) => view.last_frame_at).sort((a, b) => Date.parse(b) - Date.parse(a))[0],
        isSending: true,
        heardMs: nowMs,
      });
    }
    for (const [key, { heardMs }] of this.#cameras)
      if (nowMs - heardMs > FORGOTTEN_MS) this.#cameras.delete(key);
  }

  /** @returns {string[]} the models that any of them goes through */
  get models() {
    return [...new Set([...this.#cameras.values()].map(({ model }) => model))].sort((a, b) =>
      a.localeCompare(b),
    );
  }

  /** @param {string|null} model a model @returns {Camera[]} its cameras, by name, as people count: cam-2 before cam-10 */
  of(model) {
    return [...this.#cameras.values()]
      .filter((camera) => camera.model === model)
      .sort((a, b) => byName(a.camera, b.camera) || (a.camera < b.camera ? -1 : 1));
  }

  /** Forgets them all. */
  forget() {
    this.#cameras.clear();
  }
}

function grouped(views) {
  /** @type {Map<string, import("./fleet.js").CameraView[]>} */
  const groups = new Map();
  for (const view of views) {
    const key = JSON.stringify([view.model, view.camera]);
    groups.set(key, [...(groups.get(key) ?? []), view]);
  }
  return groups;
}
