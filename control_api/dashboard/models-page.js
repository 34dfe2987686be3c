import { byId, element, say } from "./element.js";
import { ModelCard } from "./model-card.js";
import { nextSteps } from "./next-steps.js";
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
    byId("models-empty").replaceChildren(...(names.length ? [] : [this.#empty()]));
  }

  #empty() {
    return (
      nextSteps(this.fleet, this.session.hasStreams) ??
      element("p", { class: "notice" }, "The models directory is empty.")
    );
  }
}
