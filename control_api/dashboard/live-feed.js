import { UnreachableError } from "./api.js";

const WAIT_S = 1;
const ANSWER_TIMEOUT_MS = 20_000;
// It is requests that cost the API most, so each should bring the frames of several cameras.
const SHORTEST_ROUND_MS = 250;
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 10_000;

/**
 * What is watched: a model, and for each camera the place of the frame that is shown, or null.
 *
 * @typedef {{model: string, cameras: Record<string, string|null>}} Watched
 * @typedef {{place: string, message: any, picture: Blob|null}} Frame
 */

/**
 * Brings the frames of the watched cameras, with their detections, as fast as they can be drawn: it asks again when
 * everything of the last answer is on the screen, so that a slow viewer slows down nobody but itself.
 */
export class LiveFeed {
  #pauseMs = FIRST_PAUSE_MS;
  #wake = () => {};
  #endPause = () => {};

  /**
   * @param {import("./api.js").Api} api the API
   * @param {() => Watched|null} watched what to ask for now; null: nothing, until `look` is called
   * @param {(model: string, frames: Map<string, Frame>) => Promise<void>} draw resolves when all of it is drawn
   * @param {(error: Error|null) => void} tell told why nothing comes; null: all is well again
   */
  constructor(api, watched, draw, tell) {
    this.api = api;
    this.watched = watched;
    this.draw = draw;
    this.tell = tell;
    document.addEventListener("visibilitychange", () => this.look());
  }

  /** Begins, for as long as the page lives. */
  start() {
    this.#run();
  }

  /** What is watched has changed: if it waits for that, it goes on. */
  look() {
    this.#wake();
  }

  /** Nothing stands in the way any more: if it waits after a failure, it tries at once. */
  retry() {
    this.#pauseMs = FIRST_PAUSE_MS;
    this.#endPause();
  }

  async #run() {
    for (;;) {
      const watched = document.hidden ? null : this.watched();
      if (watched === null) {
        await this.#pause(null);
        continue;
      }
      const beganMs = performance.now();
      try {
        const frames = await this.#ask(watched);
        this.tell(null);
        this.#pauseMs = FIRST_PAUSE_MS;
        await this.draw(watched.model, frames);
        await this.#pause(Math.max(0, SHORTEST_ROUND_MS - (performance.now() - beganMs)));
      } catch (error) {
        // Whether the API is there at all, the banner says.
        this.tell(error instanceof UnreachableError ? null : /** @type {Error} */ (error));
        await this.#pause(this.#pauseMs);
        this.#pauseMs = Math.min(this.#pauseMs * 2, LONGEST_PAUSE_MS);
      }
    }
  }

  async #ask({ model, cameras }) {
    const response = await this.api.fetch(
      "live",
      {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ model, cameras, wait_s: WAIT_S }),
      },
      ANSWER_TIMEOUT_MS,
    );
    if (!response.headers.get("content-type")?.startsWith("multipart/")) {
      await this.api.unwrap(response); // throws what went wrong, in words
      return new Map();
    }
    const form = await this.api.form(response);
    const detections = JSON.parse(/** @type {string} */ (form.get("detections")));
    return new Map(
      Object.entries(detections).map(([camera, { place, message, picture }]) => {
        const file = picture ? form.get(place) : null;
        return [camera, { place, message, picture: file instanceof Blob ? file : null }];
      }),
    );
  }

  /** @param {number|null} pauseMs how long to wait, in ms; null: until something else is watched */
  #pause(pauseMs) {
    return new Promise((/** @type {(value?: any) => void} */ resolve) => {
      const timer = pauseMs === null ? 0 : setTimeout(resolve, pauseMs);
      this.#wake = pauseMs === null ? resolve : () => {};
      this.#endPause = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
