const ANSWER_TIMEOUT_MS = 10_000;

/** The API answered, and says why it did not do it. */
export class ApiError extends Error {
  /** @param {string} message why, in words @param {number} status the HTTP status */
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

/** The API did not answer, or something else answered in its place. */
export class UnreachableError extends Error {}

/**
 * The control API. Tells listeners of `answered` and `unreachable` after each request, and of `unauthorized`
 * when a token is needed.
 */
export class Api extends EventTarget {
  /** @param {import("./server-clock.js").ServerClock} clock learns the server's time from each answer */
  constructor(clock) {
    super();
    this.clock = clock;
  }

  /** @param {string} path relative to the page @param {RequestInit} [options] of fetch @returns {Promise<any>} data */
  get(path, options) {
    return this.#data(path, { ...options });
  }

  /**
   * Sends JSON, a form, or nothing.
   *
   * @param {string} path relative to the page
   * @param {{method?: string, json?: any, form?: FormData, timeoutMs?: number}} [what] what to send; the wait in ms
   * @returns {Promise<any>} the envelope's data
   * @throws {ApiError|UnreachableError}
   */
  send(path, { method = "POST", json, form, timeoutMs = ANSWER_TIMEOUT_MS } = {}) {
    const headers = json === undefined ? {} : { "Content-Type": "application/json" };
    const body = json === undefined ? form : JSON.stringify(json);
    return this.#data(path, { method, headers, body }, timeoutMs);
  }

  /** @returns {Promise<string|null>} why the API is not ready; null if it is */
  async notReady() {
    const response = await this.fetch("readyz");
    const { status, reason } = await this.#json(response);
    return status === "ok" ? null : (reason ?? "it does not say why");
  }

  /**
   * Sends a request, and knows by its end whether the API is there.
   *
   * @param {string} path relative to the page
   * @param {RequestInit} [options] of fetch
   * @param {number} [timeoutMs] longest wait for the answer's body, in ms
   * @returns {Promise<Response>} the answer, whatever its status
   * @throws {UnreachableError}
   */
  async fetch(path, options = {}, timeoutMs = ANSWER_TIMEOUT_MS) {
    let response;
    try {
      response = await fetch(path, {
        cache: "no-store",
        credentials: "same-origin",
        signal: AbortSignal.timeout(timeoutMs),
        ...options,
      });
    } catch (error) {
      const isTimeout = error instanceof DOMException && error.name === "TimeoutError";
      throw this.#unreachable(isTimeout ? `no answer within ${timeoutMs / 1_000} s` : "no connection");
    }
    // What proxies say while there is nobody behind them.
    if (response.status === 502 || response.status === 504)
      throw this.#unreachable(`a proxy answers ${response.status}`);
    this.clock.take(response);
    if (response.status === 401) this.dispatchEvent(new Event("unauthorized"));
    return response;
  }

  /**
   * Reads an envelope.
   *
   * @param {Response} response an answer
   * @returns {Promise<any>} its data
   * @throws {ApiError|UnreachableError}
   */
  async unwrap(response) {
    const { data, error, success } = await this.#json(response);
    // `framebus serve` may answer 200 to everything: the envelope tells.
    if (success) return data;
    throw new ApiError(error || `the API answers ${response.status} and does not say why`, response.status);
  }

  /**
   * Reads a form of several parts.
   *
   * @param {Response} response an answer
   * @returns {Promise<FormData>} its parts
   * @throws {UnreachableError}
   */
  async form(response) {
    try {
      const form = await response.formData();
      this.dispatchEvent(new Event("answered"));
      return form;
    } catch {
      throw this.#unreachable("an answer was cut off");
    }
  }

  async #data(path, options, timeoutMs = ANSWER_TIMEOUT_MS) {
    return this.unwrap(await this.fetch(path, options, timeoutMs));
  }

  async #json(response) {
    let json;
    try {
      json = await response.json();
    } catch {
      throw this.#unreachable(`the answer (${response.status}) is not of framebus, or was cut off`);
    }
    this.dispatchEvent(new Event("answered"));
    return json;
  }

  #unreachable(why) {
    this.dispatchEvent(new CustomEvent("unreachable", { detail: why }));
    return new UnreachableError(`the control API cannot be reached: ${why}`);
  }
}

/** @param {string} model name of a model @returns {string} the path of its endpoints, relative to the page */
export function modelPath(model) {
  return `models/${encodeURIComponent(model)}`;
}
