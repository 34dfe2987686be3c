import { element } from "./element.js";

const WORDS = { loaded: "Loaded", loading: "Loading", failed: "Failed", unloaded: "Not loaded" };

/** @param {string} state of a model @returns {string} the same for people */
export function stateWords(state) {
  return WORDS[state] ?? state;
}

/**
 * A state in words, with a mark of its own shape and colour.
 *
 * @param {string} state `loaded`, `loading`, `failed`, `unloaded`, or any other that CSS knows
 * @param {string} [words] what it says
 * @returns {HTMLElement} the badge
 */
export function stateBadge(state, words = stateWords(state)) {
  return element(
    "span",
    { class: "badge", "data-state": state, "data-role": "state" },
    element("span", { class: "badge-mark", "aria-hidden": "true" }),
    words,
  );
}
