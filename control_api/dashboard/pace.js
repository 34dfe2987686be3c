/** Does something with the newest of many values: not too often, never twice at once, and always with the last one. */
export class Pace {
  /** @type {any[]} */
  #newest = [];
  #isBusy = false;

  /**
   * @param {number} intervalMs from one time to the next at least, in ms
   * @param {(value: any) => void|Promise<void>} act does it; waited for
   */
  constructor(intervalMs, act) {
    this.intervalMs = intervalMs;
    this.act = act;
  }

  /** @returns {boolean} whether something is being done, or will be */
  get isBusy() {
    return this.#isBusy;
  }

  /** @param {any} [value] what to do it with; takes the place of one that waits */
  async push(value) {
    this.#newest = [value];
    if (this.#isBusy) return;
    this.#isBusy = true;
    while (this.#newest.length) {
      const next = this.#newest.pop();
      const interval = new Promise((resolve) => setTimeout(resolve, this.intervalMs));
      await this.act(next);
      await interval;
    }
    this.#isBusy = false;
  }
}
