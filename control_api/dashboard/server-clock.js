// Below this, clocks agree: the Date header of HTTP counts whole seconds.
const TOLERANCE_MS = 2_000;

/** The server's clock, as far as its answers tell; a viewer's own may be minutes off, and ages would be wrong. */
export class ServerClock {
  #offsetMs = 0;

  /**
   * Takes the time of an answer.
   *
   * @param {Response} response an answer that has just come
   */
  take(response) {
    const saidMs = Date.parse(response.headers.get("date") ?? "");
    if (Number.isNaN(saidMs)) return;
    // The header was cut to whole seconds: on average half a second is missing.
    const offsetMs = saidMs + 500 - Date.now();
    this.#offsetMs = Math.abs(offsetMs) > TOLERANCE_MS ? offsetMs : 0;
  }

  /** @returns {number} milliseconds since 1970, by the server */
  nowMs() {
    return Date.now() + this.#offsetMs;
  }

  /** @param {string} time RFC 3339 @returns {number} how long ago it was, in seconds; never negative */
  ageS(time) {
    return Math.max(0, (this.nowMs() - Date.parse(time)) / 1_000);
  }
}
