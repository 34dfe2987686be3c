import { modelPath } from "./api.js";
import { element, say } from "./element.js";
import { sentence } from "./words.js";

// The API itself gives up before that.
const TIMEOUT_MS = 180_000;

const ACTIONS = [
  { role: "load", words: "Load", busy: "Loading…", path: "load?force=false" },
  { role: "reload", words: "Reload", busy: "Reloading…", path: "load?force=true" },
  { role: "unload", words: "Unload", busy: "Unloading…", path: "unload" },
];

/** What can be done with a model on all workers at once, and why something cannot be. */
export class ModelActions {
  #isBusy = false;
  /** @type {Record<string, string>} why an action is not possible, by its role */
  #refused = {};

  /**
   * @param {import("./api.js").Api} api the API
   * @param {string} model the model
   * @param {() => void} done called after each action
   */
  constructor(api, model, done) {
    this.api = api;
    this.model = model;
    this.done = done;
    const noteId = `actions-${model}`;
    this.note = element("p", { class: "hint", id: noteId, "data-role": "actions-note" });
    this.complaint = element("p", { class: "complaint", role: "alert", "data-role": "actions-complaint" });
    this.told = element("span", { class: "unseen", role: "status" });
    this.buttons = ACTIONS.map((action) => {
      const button = element(
        "button",
        {
          type: "button",
          class: "button",
          "data-role": action.role,
          "aria-label": `${action.words} ${model}`,
          "aria-describedby": noteId,
          on: { click: () => this.#act(action, button) },
        },
        action.words,
      );
      return { action, button };
    });
    this.element = element(
      "div",
      { class: "actions" },
      element("div", { class: "button-row" }, ...this.buttons.map(({ button }) => button), this.told),
      this.note,
      this.complaint,
    );
  }

  /** @param {any} details of the model @param {boolean} mayChange whether the viewer may do any of it */
  update(details, mayChange) {
    const isRouted = Object.values(details.workers).some((worker) => worker.is_routed);
    const has = details.state !== "unloaded";
    this.#refused = {};
    const refuse = (role, why) => (this.#refused[role] ??= why);
    if (!mayChange)
      for (const { action } of this.buttons) refuse(action.role, "Changing models takes the admin token.");
    if (details.state === "loaded") refuse("load", "");
    if (!has) refuse("reload", "");
    if (!has) refuse("unload", "");
    if (isRouted)
      refuse(
        "unload",
        "Frames of a topic go through this model, so it cannot be unloaded; take it out of the workers' routes first.",
      );
    for (const { action, button } of this.buttons) {
      // Not `disabled`: a screen reader should find the button, and why it does nothing.
      button.setAttribute("aria-disabled", String(action.role in this.#refused || this.#isBusy));
      button.hidden = action.role === "load" ? details.state === "loaded" : !has;
    }
    say(this.note, [...new Set(Object.values(this.#refused))].filter(Boolean).join(" "));
    this.note.hidden = !this.note.textContent;
  }

  async #act({ role, words, busy, path }, button) {
    if (this.#isBusy || role in this.#refused) return;
    this.#isBusy = true;
    say(this.complaint, "");
    say(this.told, `${words} ${this.model}: under way`);
    say(button, busy);
    button.setAttribute("aria-busy", "true");
    for (const other of this.buttons) other.button.setAttribute("aria-disabled", "true");
    try {
      await this.api.send(`${modelPath(this.model)}/${path}`, { timeoutMs: TIMEOUT_MS });
      say(this.told, `${words} ${this.model}: done`);
    } catch (error) {
      say(this.told, "");
      say(this.complaint, sentence(error.message));
    }
    this.#isBusy = false;
    button.removeAttribute("aria-busy");
    say(button, words);
    this.done();
  }
}
