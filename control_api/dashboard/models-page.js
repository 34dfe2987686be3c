import { command } from "./command.js";
import { byId, element, say } from "./element.js";
import { ModelCard } from "./model-card.js";
import { plural } from "./words.js";

/** All models, those first that something can be seen of. */
export class ModelsPage {
  /** @type {Map<string, ModelCard>} */
  #cards = new Map();

  /**
   * @param {import("./api.js").Api} api the API
   * @param {import("./fleet.js").Fleet} fleet the models
   * @param {import("./session.js").Session} session what the viewer may change
   * @param {() => void} changed called when a model was told something
   */
  constructor(api, fleet, session, changed) {
    this.api = api;
    this.fleet = fleet;
    this.session = session;
    this.changed = changed;
    fleet.addEventListener("models", () => this.update());
    session.addEventListener("change", () => this.update());
  }

  /** Shows what is known now. */
  update() {
    const known = this.fleet.models;
    if (known === null) return;
    const names = [...known.models].sort((a, b) => a.localeCompare(b, undefined, { numeric: true }));
    for (const [name, card] of this.#cards) {
      if (names.includes(name)) continue;
      card.element.remove();
      this.#cards.delete(name);
    }
    names.forEach((name, nth) => {
      let card = this.#cards.get(name);
      if (!card) this.#cards.set(name, (card = new ModelCard(this.api, name, this.changed)));
      card.update(known.details[name], this.fleet.modelsAskedMs, this.session.mayChange);
      const list = byId("models");
      if (list.children[nth] !== card.element) list.insertBefore(card.element, list.children[nth] ?? null);
    });
    const loaded = names.filter((name) => known.details[name].state === "loaded").length;
    say(byId("models-note"), names.length ? `${plural(names.length, "model")}, ${loaded} loaded` : "");
    const empty = byId("models-empty");
    // What is there already may have the focus.
    if ((names.length === 0) !== empty.hasChildNodes()) {
      empty.replaceChildren(...(names.length ? [] : [noModels()]));
    }
  }
}

function noModels() {
  return element(
    "div",
    { class: "steps-card", "data-role": "no-models" },
    element("h2", {}, "The models directory is empty"),
    element("p", {}, "Put a folder of your own into it, or fetch a sample:"),
    command("framebus models fetch pedestrian"),
  );
}
