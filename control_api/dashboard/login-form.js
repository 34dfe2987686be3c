import { element, say } from "./element.js";
import { sentence } from "./words.js";

let forms = 0;

/**
 * The form that takes a token.
 *
 * @param {import("./session.js").Session} session where the token goes
 * @param {() => void} onLogin called when it was taken
 * @returns {HTMLFormElement} the form
 */
export function loginForm(session, onLogin) {
  const id = `token-${++forms}`;
  const complaint = element("p", {
    class: "complaint",
    role: "alert",
    id: `${id}-complaint`,
    "data-role": "login-error",
  });
  const input = element("input", {
    id,
    name: "token",
    type: "password",
    autocomplete: "current-password",
    required: true,
    maxlength: 1000,
    spellcheck: "false",
    "aria-describedby": `${id}-complaint`,
    "data-role": "token",
  });
  const submit = element(
    "button",
    { class: "button primary", type: "submit", "data-role": "login" },
    "Log in",
  );
  const form = element(
    "form",
    { class: "login", "data-role": "login-form" },
    // Password keepers want a user to keep the password of.
    element("input", {
      type: "text",
      name: "username",
      value: "framebus",
      autocomplete: "username",
      hidden: true,
    }),
    element("label", { for: id }, "Token"),
    element("div", { class: "login-row" }, input, submit),
    complaint,
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    say(complaint, "");
    submit.setAttribute("aria-busy", "true");
    try {
      await session.login(input.value);
      form.reset();
      onLogin();
    } catch (error) {
      say(complaint, sentence(error.message));
      input.select();
    }
    submit.removeAttribute("aria-busy");
  });
  return form;
}
