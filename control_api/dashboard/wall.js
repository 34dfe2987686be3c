import { CameraRoll } from "./camera-roll.js";
import { byId, element, say } from "./element.js";
import { Enlarged } from "./enlarged.js";
import { LiveFeed } from "./live-feed.js";
import { prefer, preference } from "./preferences.js";
import { hashOf } from "./route.js";
import { Tile } from "./tile.js";
import { plural, sentence } from "./words.js";

// The API takes no more at once.
const MOST_WATCHED = 300;

/** The wall of cameras: a tile for each camera of the chosen model. */
export class Wall {
  #roll = new CameraRoll();
  /** @type {Map<string, Tile>} by camera */
  #tiles = new Map();
  /** @type {Set<Tile>} */
  #seen = new Set();
  /** @type {string|null} */
  #model = null;
  /** @type {import("./route.js").Route|null} */
  #route = null;

  /**
   * @param {import("./api.js").Api} api the API
   * @param {import("./fleet.js").Fleet} fleet the cameras
   * @param {{go: (hash: string, how?: {isStep: boolean}) => void, mayWatch: () => boolean}} app where to go, and
   *   whether pictures may be asked for
   */
  constructor(api, fleet, app) {
    this.clock = api.clock;
    this.fleet = fleet;
    this.app = app;
    this.observer = new IntersectionObserver((entries) => this.#scrolled(entries), { rootMargin: "80px" });
    this.enlarged = new Enlarged(this.clock, {
      close: () => this.#route?.camera && app.go(hashOf("cameras", this.#route.model), { isStep: true }),
      step: (by) => this.#step(by),
    });
    this.feed = new LiveFeed(
      api,
      () => this.#watched(),
      (model, frames) => this.#draw(model, frames),
      (error) => this.#tell(error),
    );
    this.feed.start();
    fleet.addEventListener("cameras", () => this.#update());
    setInterval(() => document.hidden || this.#tick(), 1_000);
    byId("wall-model").addEventListener("change", (event) => app.go(hashOf("cameras", event.target.value)));
    this.#offerSizes();
  }

  /** @param {import("./route.js").Route} route where the viewer is */
  show(route) {
    this.#route = route;
    this.#update();
    if (!route.camera) this.enlarged.close();
    this.feed.look();
  }

  /** The API, or the bus, was away. */
  recovered() {
    for (const tile of this.#tiles.values()) tile.startOver();
    this.feed.retry();
  }

  /** Forgets all pictures, for someone else logs in. */
  forget() {
    this.enlarged.close();
    this.#roll.forget();
    this.#update();
  }

  #update() {
    if (this.fleet.cameras !== null) this.#roll.update(this.fleet.cameras, Date.now());
    this.#choose();
    const cameras = this.#roll.of(this.#model);
    const names = new Set(cameras.map(({ camera }) => camera));
    for (const [name, tile] of this.#tiles) if (!names.has(name)) this.#remove(name, tile);
    cameras.forEach((camera, nth) => this.#place(camera, nth));
    const silent = cameras.filter(({ isSending }) => !isSending).length;
    const words = cameras.length ? plural(cameras.length, "camera") : "";
    say(byId("wall-note"), silent ? `${words}, ${silent} silent` : words);
    byId("wall").dataset.crowd =
      cameras.length <= 1 ? "1" : cameras.length <= 4 ? "4" : cameras.length <= 9 ? "9" : "many";
    byId("tile-size-field").hidden = cameras.length === 0;
    this.#enlarge();
    this.feed.look();
  }

  #choose() {
    const models = this.#roll.models;
    const wanted = this.#route?.model ?? preference("model");
    const model = wanted !== null && models.includes(wanted) ? wanted : (models[0] ?? null);
    if (this.#route?.model && model === this.#route.model) prefer("model", model);
    if (model !== this.#model) {
      this.#model = model;
      for (const [name, tile] of this.#tiles) this.#remove(name, tile);
    }
    const select = byId("wall-model");
    byId("wall-model-field").hidden = models.length < 2;
    if ([...select.options].map(({ value }) => value).join("/") !== models.join("/")) {
      select.replaceChildren(...models.map((name) => element("option", { value: name }, name)));
    }
    if (model !== null && select.value !== model) select.value = model;
  }

  #place(camera, nth) {
    let tile = this.#tiles.get(camera.camera);
    if (tile) tile.update(camera);
    else {
      tile = new Tile(camera, this.clock, () => this.app.go(hashOf("cameras", camera.model, camera.camera)));
      this.#tiles.set(camera.camera, tile);
      this.observer.observe(tile.element);
    }
    const wall = byId("wall");
    // Moving an element that is in its place already would take the focus from it.
    if (wall.children[nth] !== tile.element) wall.insertBefore(tile.element, wall.children[nth] ?? null);
  }

  #remove(name, tile) {
    if (this.enlarged.tile === tile) this.enlarged.close();
    this.observer.unobserve(tile.element);
    this.#seen.delete(tile);
    this.#tiles.delete(name);
    tile.close();
  }

  #enlarge() {
    if (!this.#route?.camera) return;
    const names = this.#roll.of(this.#model).map(({ camera }) => camera);
    const tile = this.#tiles.get(this.#route.camera);
    if (tile) this.enlarged.open(tile, names.indexOf(this.#route.camera), names.length);
  }

  #step(by) {
    const names = this.#roll.of(this.#model).map(({ camera }) => camera);
    const at = names.indexOf(this.enlarged.tile?.camera.camera ?? "");
    const next = names[(at + by + names.length) % names.length];
    if (at >= 0 && names.length > 1) this.app.go(hashOf("cameras", this.#model, next), { isStep: true });
  }

  #scrolled(entries) {
    const byElement = new Map([...this.#tiles.values()].map((tile) => [tile.element, tile]));
    for (const { target, isIntersecting } of entries) {
      const tile = byElement.get(target);
      if (tile && isIntersecting) this.#seen.add(tile);
      else if (tile) this.#seen.delete(tile);
    }
    this.feed.look();
  }

  #watched() {
    if (this.#model === null || this.#route === null || !this.app.mayWatch()) return null;
    const tiles = this.enlarged.tile ? [this.enlarged.tile] : [...this.#seen];
    if (!tiles.length) return null;
    // An answer is bounded, and begins with what is named first: here what was drawn longest ago.
    tiles.sort((one, other) => (one.canvas.dataset.paintedAt ?? 0) - (other.canvas.dataset.paintedAt ?? 0));
    tiles.length = Math.min(tiles.length, MOST_WATCHED);
    return {
      model: this.#model,
      cameras: Object.fromEntries(tiles.map((tile) => [tile.camera.camera, tile.place])),
    };
  }

  async #draw(model, frames) {
    if (model !== this.#model) return;
    const drawn = [...frames].map(async ([camera, frame]) => {
      const tile = this.#tiles.get(camera);
      if (!tile) return;
      await Promise.all([tile.take(frame), this.enlarged.tile === tile && this.enlarged.take(frame)]);
    });
    await Promise.all(drawn);
  }

  #tick() {
    for (const tile of this.#tiles.values()) tile.tick();
    this.enlarged.tick();
  }

  #tell(error) {
    byId("wall-error").hidden = error === null;
    if (error) say(byId("wall-error"), `No pictures come: ${sentence(error.message)}`);
  }

  #offerSizes() {
    const select = byId("tile-size");
    const show = () => (byId("wall").dataset.size = select.value);
    select.value = preference("tile-size") ?? "auto";
    if (!select.value) select.value = "auto";
    select.addEventListener("change", () => {
      prefer("tile-size", select.value === "auto" ? null : select.value);
      show();
    });
    show();
  }
}
