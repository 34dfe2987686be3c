/**
 * Where the viewer is, as the address says it: `#cameras`, `#cameras/<model>`, `#cameras/<model>/<camera>`, `#models`,
 * `#workers`, `#try`.
 *
 * @typedef {{page: string, model: string|null, camera: string|null}} Route
 */

export const PAGES = ["cameras", "models", "workers", "try"];

/** @returns {Route|null} where the viewer is; null if the address does not say */
export function currentRoute() {
  const [page, model, camera] = location.hash.slice(1).split("/").map(decoded);
  if (!PAGES.includes(page)) return null;
  return { page, model: model || null, camera: camera || null };
}

/**
 * @param {string} page one of PAGES
 * @param {string|null} [model] whose wall
 * @param {string|null} [camera] the one that is enlarged
 * @returns {string} the address's hash
 */
export function hashOf(page, model = null, camera = null) {
  return `#${[page, model, camera]
    .filter((part) => part !== null)
    .map(encodeURIComponent)
    .join("/")}`;
}

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part; // typed by hand
  }
}
