import { byId, icon } from "./element.js";
import { prefer, preference } from "./preferences.js";

const SCHEMES = [
  { name: "auto", words: "as the system", path: "M4 5h16v11H4zM9 20h6M12 16v4" },
  {
    name: "light",
    words: "light",
    path: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 2.5v2M12 19.5v2M2.5 12h2M19.5 12h2M5.3 5.3l1.4 1.4M17.3 17.3l1.4 1.4M18.7 5.3l-1.4 1.4M6.7 17.3l-1.4 1.4",
  },
  { name: "dark", words: "dark", path: "M20 14.5A8.5 8.5 0 0 1 9.5 4 8.5 8.5 0 1 0 20 14.5z" },
];

/** Lets the viewer choose between light, dark, and what the system says. early-theme.js puts the choice in force. */
export function offerThemes() {
  const button = byId("theme");
  let chosen = Math.max(
    0,
    SCHEMES.findIndex(({ name }) => name === preference("theme")),
  );
  const show = () => {
    const { name, words, path } = SCHEMES[chosen];
    if (name === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = name;
    button.replaceChildren(icon(path));
    button.setAttribute("aria-label", `Colours: ${words}. Change`);
    button.title = `Colours: ${words}`;
  };
  button.addEventListener("click", () => {
    chosen = (chosen + 1) % SCHEMES.length;
    prefer("theme", chosen === 0 ? null : SCHEMES[chosen].name);
    show();
  });
  show();
}
