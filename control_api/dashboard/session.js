import { byId, say } from "./element.js";
import { prefer, preference } from "./preferences.js";

// Scripts cannot see the cookie; where reading is open to all, the scope does not tell whether there is one.
const LOGGED_IN = "logged-in";

/**
 * What this browser may do, and the parts of the header that depend on it. Tells listeners of `change`.
 */
export class Session extends EventTarget {
  /** @type {"unknown"|"nothing"|"read"|"admin"} */
  scope = "unknown";
  isOpen = true;
  hasStreams = true;
  /** @type {string|null} */
  grafanaUrl = null;

  /** @param {import("./api.js").Api} api the API */
  constructor(api) {
    super();
    this.api = api;
    byId("logout").addEventListener("click", () => this.logout());
  }

  get mayRead() {
    return this.scope === "read" || this.scope === "admin";
  }

  get mayChange() {
    return this.scope === "admin";
  }

  /** Asks what may be done now. */
  async refresh() {
    const data = await this.api.get("session");
    const before = JSON.stringify([this.scope, this.isOpen, this.hasStreams, this.grafanaUrl]);
    this.scope = data.scope;
    this.isOpen = data.is_open;
    this.hasStreams = data.has_streams;
    this.grafanaUrl = data.grafana_url;
    if (before !== JSON.stringify([this.scope, this.isOpen, this.hasStreams, this.grafanaUrl]))
      this.#changed();
  }

  /**
   * Trades a token for a cookie.
   *
   * @param {string} token the read or the admin token
   * @throws {import("./api.js").ApiError|import("./api.js").UnreachableError}
   */
  async login(token) {
    await this.api.send("login", { json: { token } });
    prefer(LOGGED_IN, "yes");
    await this.refresh();
  }

  /** Gives the cookie back. */
  async logout() {
    await this.api.send("logout");
    prefer(LOGGED_IN, null);
    await this.refresh();
  }

  #changed() {
    const isLoggedIn =
      this.scope === "admin" ? !this.isOpen : this.scope === "read" && preference(LOGGED_IN) !== null;
    byId("scope-note").hidden = this.scope !== "read";
    byId("login-open").hidden = this.scope !== "read";
    byId("logout").hidden = !isLoggedIn;
    for (const link of [byId("grafana"), byId("grafana-foot")]) {
      link.hidden = !this.grafanaUrl;
      if (this.grafanaUrl) link.href = this.grafanaUrl;
    }
    say(byId("login-open"), isLoggedIn ? "Log in as admin" : "Log in");
    this.dispatchEvent(new Event("change"));
  }
}
