import { element, say } from "./element.js";

const SAID_MS = 1_500;

/**
 * A button that copies text.
 *
 * @param {() => string} text what to copy
 * @param {string} what what it is, for the button's name
 * @returns {HTMLElement} the button, and what it says to screen readers
 */
export function copyButton(text, what) {
  const button = element(
    "button",
    { type: "button", class: "button small", "data-role": "copy", "aria-label": `Copy ${what}` },
    "Copy",
  );
  const told = element("span", { class: "unseen", role: "status" });
  button.addEventListener("click", async () => {
    const isCopied = await copy(text(), button);
    say(button, isCopied ? "Copied" : "Not allowed");
    say(told, isCopied ? "Copied" : "This browser does not allow copying");
    setTimeout(() => say(button, "Copy"), SAID_MS);
  });
  return element("span", { class: "copy" }, button, told);
}

// The clipboard's own interface is there for https and localhost only.
async function copy(text, near) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = element("textarea", { class: "unseen", readonly: true });
    area.value = text;
    near.after(area); // inside of a dialog, where focus may go
    area.select();
    const isCopied = document.execCommand("copy");
    area.remove();
    near.focus();
    return isCopied;
  }
}
