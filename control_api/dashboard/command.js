import { copyButton } from "./copy-button.js";
import { element } from "./element.js";

/** @param {string} line a command @returns {HTMLElement} the command, to read and to copy */
export function command(line) {
  return element(
    "div",
    { class: "command" },
    element("code", {}, line),
    copyButton(() => line, line),
  );
}
