// Of the 16 ms of a frame at 60 Hz, the browser needs the rest itself.
const BUDGET_MS = 7;

/** Paints in animation frames, a few milliseconds in each, so that the page answers its viewer however many pictures come. */
export class PaintQueue {
  /** @type {(() => void)[]} */
  #waiting = [];

  /**
   * @param {() => void} paint paints one canvas
   * @returns {Promise<void>} when it was called
   */
  add(paint) {
    return new Promise((done, fail) => {
      const first = this.#waiting.length === 0;
      this.#waiting.push(() => {
        try {
          paint();
          done();
        } catch (error) {
          fail(error);
        }
      });
      if (first) requestAnimationFrame(() => this.#run());
    });
  }

  #run() {
    const endMs = performance.now() + BUDGET_MS;
    while (this.#waiting.length && performance.now() < endMs) this.#waiting.shift()?.();
    if (this.#waiting.length) requestAnimationFrame(() => this.#run());
  }
}
