/**
 * What the API said last of cameras, workers and models, and what follows from it. Tells listeners of `cameras`,
 * `workers` and `models` after each answer.
 *
 * @typedef {{camera: string, model: string, worker: string, frames_per_s: number, dropped_per_s: number,
 *   last_frame_at: string, latency_ms: number|null}} CameraView
 */
export class Fleet extends EventTarget {
  /** @type {CameraView[]|null} */
  cameras = null;
  /** @type {any[]|null} */
  workers = null;
  /** @type {{models: string[], details: Record<string, any>}|null} */
  models = null;

  /** When the models that are known were asked for, in ms of the page's own time. */
  modelsAskedMs = 0;

  /**
   * @param {import("./api.js").Api} api the API
   * @param {() => boolean} isKnowing whether the API knows; while it has lost the bus, it tells of nobody
   */
  constructor(api, isKnowing) {
    super();
    this.api = api;
    this.isKnowing = isKnowing;
  }

  async refreshCameras() {
    const cameras = await this.api.get("cameras");
    // What was known last stays, greyed out.
    if (this.cameras === null || this.isKnowing()) this.cameras = cameras;
    this.dispatchEvent(new Event("cameras"));
  }

  async refreshWorkers() {
    const workers = await this.api.get("workers");
    // What was known last stays, greyed out.
    if (this.workers === null || this.isKnowing()) this.workers = workers;
    this.dispatchEvent(new Event("workers"));
  }

  async refreshModels() {
    const askedMs = performance.now();
    const models = await this.api.get("models");
    if (this.models === null || this.isKnowing()) [this.models, this.modelsAskedMs] = [models, askedMs];
    this.dispatchEvent(new Event("models"));
  }

  /** Forgets everything, for someone else logs in. */
  forget() {
    this.cameras = this.workers = this.models = null;
  }

  /** @returns {string[]} models that a topic is read for, on any worker; and those that cameras go through */
  get routedModels() {
    const routed = (this.workers ?? []).flatMap((worker) => worker.models.filter((model) => model.is_routed));
    const names = [
      ...routed.map((model) => model.name),
      ...(this.cameras ?? []).map((camera) => camera.model),
    ];
    return [...new Set(names)].sort((a, b) => a.localeCompare(b));
  }

  /** @returns {number} frames/s of all cameras and models */
  get framesPerS() {
    return sum((this.cameras ?? []).map((camera) => camera.frames_per_s));
  }

  /** @returns {number} frames/s that are left out */
  get droppedPerS() {
    return sum((this.cameras ?? []).map((camera) => camera.dropped_per_s));
  }

  /** @returns {number|null} from capture to published detections, in ms: the mean of all frames of the last seconds */
  get latencyMs() {
    return meanLatencyMs(this.cameras ?? []);
  }

  /** @returns {number|null} frames that wait on the bus; each worker counts its own partitions. null: no topic is read */
  get lagFrames() {
    const routed = (this.workers ?? []).flatMap((worker) => worker.models.filter((model) => model.is_routed));
    const lags = routed.map((model) => model.lag_frames).filter((lag) => lag !== null && lag !== undefined);
    return lags.length ? sum(lags) : null;
  }

  /** @returns {number} cameras that frames come from, however many models they go through */
  get cameraCount() {
    return new Set((this.cameras ?? []).map((camera) => camera.camera)).size;
  }
}

/**
 * @param {CameraView[]} views of any cameras
 * @returns {number|null} the mean of their frames' latencies, in ms; null if none has any
 */
export function meanLatencyMs(views) {
  const known = views.filter((view) => view.latency_ms !== null && view.latency_ms !== undefined);
  if (!known.length) return null;
  // A camera that has just stopped has a latency and no rate; alone, it is still what is known.
  const weights = known.map((view) => view.frames_per_s);
  const total = sum(weights);
  const weighted = known.map(
    (view, nth) => Number(view.latency_ms) * (total ? weights[nth] / total : 1 / known.length),
  );
  return sum(weighted);
}

/** @param {number[]} figures any @returns {number} their sum */
export function sum(figures) {
  return figures.reduce((total, figure) => total + figure, 0);
}
