import { Api } from "./api.js";
import { Connection } from "./connection.js";
import { byId } from "./element.js";
import { Fleet } from "./fleet.js";
import { Glance } from "./glance.js";
import { loginForm } from "./login-form.js";
import { ModelsPage } from "./models-page.js";
import { nextSteps } from "./next-steps.js";
import { Poll } from "./poll.js";
import { currentRoute, PAGES } from "./route.js";
import { ServerClock } from "./server-clock.js";
import { Session } from "./session.js";
import { offerThemes } from "./theme.js";
import { Trial } from "./trial.js";
import { Wall } from "./wall.js";
import { WorkersPage } from "./workers-page.js";

const TITLES = { cameras: "Cameras", models: "Models", workers: "Workers", try: "Try it", login: "Log in" };
const SESSION_INTERVAL_MS = 30_000;

/** The page: its parts, and which of them is seen. */
class Dashboard {
  #page = "";
  #steps = "";

  constructor() {
    const clock = new ServerClock();
    this.api = new Api(clock);
    this.session = new Session(this.api);
    this.connection = new Connection(this.api, () => this.#recovered());
    this.fleet = new Fleet(this.api, () => this.connection.isKnowing);
    this.glance = new Glance(this.fleet);
    this.polls = {
      session: new Poll(SESSION_INTERVAL_MS, () => this.session.refresh()),
      ready: new Poll(1_000, () => this.connection.refresh()),
      cameras: new Poll(1_000, () => this.fleet.refreshCameras()),
      workers: new Poll(1_000, () => this.fleet.refreshWorkers()),
      models: new Poll(2_000, () => this.fleet.refreshModels()),
    };
    this.wall = new Wall(this.api, this.fleet, {
      go: (hash, how) => this.#go(hash, how?.isStep ?? false),
      mayWatch: () => this.session.mayRead && this.session.hasStreams && this.#page === "cameras",
    });
    this.models = new ModelsPage(this.api, this.fleet, this.session, () => this.polls.models.now());
    this.workers = new WorkersPage(this.fleet, clock);
    this.trial = new Trial(this.api, this.fleet);
    this.#listen();
  }

  /** Begins. */
  start() {
    offerThemes();
    this.polls.session.want(true);
    this.polls.ready.want(true);
  }

  #listen() {
    addEventListener("hashchange", () => this.#show());
    this.session.addEventListener("change", () => this.#sessionChanged());
    this.api.addEventListener("unauthorized", () => this.session.mayRead && this.polls.session.now());
    for (const event of ["cameras", "workers", "models"])
      this.fleet.addEventListener(event, () => this.#showSteps());
    const dialog = /** @type {HTMLDialogElement} */ (byId("login-dialog"));
    byId("login-place").append(loginForm(this.session, () => {}));
    byId("login-dialog-place").append(loginForm(this.session, () => dialog.close()));
    byId("login-open").addEventListener("click", () => dialog.showModal());
    byId("login-close").addEventListener("click", () => dialog.close());
    document.querySelector('[data-role="skip"]')?.addEventListener("click", (event) => {
      event.preventDefault(); // the address says which page it is
      byId("main").focus();
    });
  }

  #recovered() {
    for (const poll of Object.values(this.polls)) poll.retry();
    this.wall.recovered();
  }

  #sessionChanged() {
    const { mayRead } = this.session;
    if (!mayRead) {
      this.fleet.forget();
      this.wall.forget();
    }
    for (const poll of [this.polls.cameras, this.polls.workers, this.polls.models]) poll.want(mayRead);
    this.#show();
    this.#showSteps();
  }

  /** @param {string} hash where to @param {boolean} isStep whether the way back should not lead here again */
  #go(hash, isStep) {
    if (isStep) history.replaceState(null, "", hash);
    else history.pushState(null, "", hash);
    this.#show();
  }

  #show() {
    if (this.session.scope === "unknown") return;
    const first = this.session.hasStreams ? "cameras" : "try";
    const route = currentRoute() ?? { page: first, model: null, camera: null };
    const page = this.session.mayRead ? route.page : "login";
    const isMove = page !== this.#page;
    const isFirst = this.#page === "";
    this.#page = page;
    for (const name of [...PAGES, "login"]) byId(`page-${name}`).hidden = name !== page;
    byId("glance").hidden = page === "login" || page === "try" || !this.session.hasStreams;
    byId("nav").hidden = page === "login";
    for (const link of document.querySelectorAll("[data-page-link]")) {
      if (/** @type {HTMLElement} */ (link).dataset.pageLink === page)
        link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    document.title = `${route.camera && page === "cameras" ? route.camera : TITLES[page]} · framebus`;
    if (isMove && page === "login") {
      /** @type {HTMLElement} */ (byId("login-place").querySelector('[data-role="token"]')).focus();
    } else if (isMove && !isFirst && !route.camera) {
      window.scrollTo(0, 0);
      byId(`${page}-heading`).focus({ preventScroll: true });
    }
    this.wall.show(page === "cameras" ? route : { page, model: null, camera: null });
  }

  #showSteps() {
    const steps = this.session.mayRead ? nextSteps(this.fleet, this.session.hasStreams) : null;
    const hasTiles = byId("wall").children.length > 0;
    const text = hasTiles ? "" : (steps?.textContent ?? "");
    if (text === this.#steps) return; // what is there may have the focus
    this.#steps = text;
    byId("wall-empty").replaceChildren(...(steps && !hasTiles ? [steps] : []));
    const forWorkers =
      steps && this.session.hasStreams && !this.fleet.workers?.length ? [nextSteps(this.fleet, true)] : [];
    byId("workers-empty").replaceChildren(...forWorkers.filter((node) => node !== null));
  }
}

new Dashboard().start();
