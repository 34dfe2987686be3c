/** Lets a few things go on at once, and the others wait: each picture that is decoded takes megabytes. */
export class Lanes {
  /** @type {(() => void)[]} */
  #waiting = [];

  /** @param {number} free how many at once */
  constructor(free) {
    this.free = free;
  }

  /**
   * @template T
   * @param {() => Promise<T>} work starts as soon as a lane is free
   * @returns {Promise<T>} what it gives
   */
  async run(work) {
    if (this.free > 0) this.free -= 1;
    else await new Promise((/** @type {(value?: any) => void} */ start) => this.#waiting.push(start));
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.free += 1;
    }
  }
}
