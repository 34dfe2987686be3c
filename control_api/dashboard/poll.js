const LONGEST_MS = 5_000;

/**
 * Asks something again and again: only while the page is seen and it is wanted, never twice at once, and ever
 * more rarely while no answer comes.
 */
export class Poll {
  #timer = 0;
  #isAsking = false;
  #failures = 0;
  #isWanted = false;

  /**
   * @param {number} intervalMs from one answer to the next question, in ms
   * @param {() => Promise<void>} ask asks, and takes the answer; throws if there is none
   */
  constructor(intervalMs, ask) {
    this.intervalMs = intervalMs;
    this.ask = ask;
    document.addEventListener("visibilitychange", () => this.#wake());
    window.addEventListener("online", () => this.#wake());
  }

  /** @param {boolean} isWanted whether to ask from now on; the first time at once */
  want(isWanted) {
    if (isWanted === this.#isWanted) return;
    this.#isWanted = isWanted;
    this.#wake();
  }

  /** Asks now, where it is wanted at all. */
  async now() {
    clearTimeout(this.#timer);
    if (this.#isAsking || !this.#isWanted || document.hidden) return;
    this.#isAsking = true;
    const beganMs = performance.now();
    try {
      await this.ask();
      this.#failures = 0;
    } catch {
      this.#failures += 1; // who asked has been told; here it counts only how often
    }
    this.#isAsking = false;
    const waitMs = Math.min(this.intervalMs * 2 ** this.#failures, Math.max(LONGEST_MS, this.intervalMs));
    const spentMs = this.#failures ? 0 : performance.now() - beganMs;
    this.#timer = setTimeout(() => this.now(), Math.max(waitMs - spentMs, this.intervalMs / 4));
  }

  /** Nothing stands in the way any more: asks at once. */
  retry() {
    this.#wake();
  }

  #wake() {
    clearTimeout(this.#timer);
    if (this.#isWanted && !document.hidden) {
      this.#failures = 0;
      this.now();
    }
  }
}
