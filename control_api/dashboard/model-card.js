import { element, say } from "./element.js";
import { ModelActions } from "./model-actions.js";
import { stateBadge } from "./state-words.js";
import { Table } from "./table.js";
import { Thresholds } from "./thresholds.js";
import { plural } from "./words.js";

/** A model: how it is, what it may be told, and where it runs. */
export class ModelCard {
  /**
   * @param {import("./api.js").Api} api the API
   * @param {string} model its name
   * @param {() => void} changed called when it was told something
   */
  constructor(api, model, changed) {
    const id = `model-${model}`;
    this.state = element("span", { class: "card-state" });
    this.facts = element("p", { class: "card-facts", "data-role": "facts" });
    this.problems = element("ul", { class: "problems", role: "list", "data-role": "problems" });
    this.thresholds = new Thresholds(api, model);
    this.actions = new ModelActions(api, model, changed);
    this.table = new Table(`Workers that speak of ${model}`, [
      "Worker",
      "State",
      "Engine",
      "Device",
      "Precision",
      "Version",
    ]);
    this.element = element(
      "article",
      { class: "card", "data-model": model, "aria-labelledby": id },
      element("div", { class: "card-head" }, element("h2", { id }, model), this.state),
      this.facts,
      this.problems,
      this.thresholds.element,
      this.actions.element,
      this.table.element,
    );
  }

  /**
   * Shows what is known.
   *
   * @param {any} details of the model
   * @param {number} askedMs when they were asked for, in ms of the page
   * @param {boolean} mayChange whether the viewer may change anything
   */
  update(details, askedMs, mayChange) {
    if (this.element.dataset.state !== details.state) this.state.replaceChildren(stateBadge(details.state));
    this.element.dataset.state = details.state;
    const workers = Object.entries(details.workers);
    const loaded = workers.filter(([, worker]) => worker.state === "loaded").length;
    const facts = [
      details.version && `version ${details.version}`,
      workers.length > 0 && `on ${loaded} of ${plural(workers.length, "worker")}`,
      details.desired && "kept on every worker, because it was loaded by command",
      workers.some(([, worker]) => worker.is_routed) && "frames of a topic go through it",
    ];
    say(this.facts, facts.filter(Boolean).join(" · ") || "No worker has it.");
    this.#problems(details, workers);
    this.thresholds.update(details, askedMs, mayChange);
    this.actions.update(details, mayChange);
    this.table.element.hidden = workers.length === 0;
    this.table.show(
      workers.map(([name, worker]) => ({
        key: name,
        cells: [
          name,
          stateBadge(worker.state),
          worker.engine ?? "–",
          worker.device ?? "–",
          worker.precision ?? "–",
          worker.version ?? "–",
        ],
      })),
    );
  }

  #problems(details, workers) {
    const lines = new Map();
    const add = (kind, words, where) => {
      if (!words) return;
      const key = `${kind} ${words}`;
      lines.set(key, { kind, words, where: [...(lines.get(key)?.where ?? []), ...(where ? [where] : [])] });
    };
    for (const [name, worker] of workers) {
      add("Load failed", worker.error, name);
      add("config.json is not in force", worker.config_error, name);
      add("Runs otherwise than asked", worker.fallback, name);
    }
    if (!workers.some(([, worker]) => worker.error)) add("Load failed", details.error);
    if (!workers.some(([, worker]) => worker.config_error))
      add("config.json is not in force", details.config_error);
    const text = JSON.stringify([...lines]);
    if (this.drawnProblems === text) return;
    this.drawnProblems = text;
    this.problems.hidden = lines.size === 0;
    this.problems.replaceChildren(
      ...[...lines.values()].map(({ kind, words, where }) => {
        const isGrave = kind === "Load failed";
        const places = where.length ? ` (${where.join(", ")})` : "";
        return element(
          "li",
          { class: "problem", "data-grave": String(isGrave) },
          element("strong", {}, `${kind}${places}: `),
          words,
        );
      }),
    );
  }
}
