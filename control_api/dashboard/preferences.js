// What a viewer chose here, kept in this browser. Private windows may forbid the storage: then it lasts as long as the page.

/** @param {string} name of the choice @returns {string|null} what was chosen; null if nothing was */
export function preference(name) {
  try {
    return localStorage.getItem(`framebus.${name}`);
  } catch {
    return null;
  }
}

/** @param {string} name of the choice @param {string|null} value what was chosen; null forgets it */
export function prefer(name, value) {
  try {
    if (value === null) localStorage.removeItem(`framebus.${name}`);
    else localStorage.setItem(`framebus.${name}`, value);
  } catch {
    // see above
  }
}
