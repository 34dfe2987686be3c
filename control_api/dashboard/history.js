/** The last two minutes of one figure, as long as the page is open. */
export class History {
  /** @type {{atMs: number, value: number|null}[]} */
  #points = [];

  /** @param {number} [spanMs] how far back it goes, in ms */
  constructor(spanMs = 120_000) {
    this.spanMs = spanMs;
  }

  /** @param {number} atMs when, in ms since 1970 @param {number|null} value the figure; null: not known */
  add(atMs, value) {
    this.#points.push({ atMs, value });
    while (this.#points[0].atMs < atMs - this.spanMs) this.#points.shift();
  }

  /** @returns {{atMs: number, value: number|null}[]} the oldest first */
  get points() {
    return this.#points;
  }
}
