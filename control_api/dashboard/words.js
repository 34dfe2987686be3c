// Figures as people read them.

const NONE = "–";
const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const tenths = new Intl.NumberFormat("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 });

/** @param {number|null|undefined} count how many @returns {string} e.g. `1,204` */
export function countWords(count) {
  return count === null || count === undefined ? NONE : whole.format(count);
}

/** @param {number|null|undefined} perS events per second @returns {string} e.g. `24.8`, `0`, `160` */
export function rateWords(perS) {
  if (perS === null || perS === undefined) return NONE;
  if (perS === 0) return "0";
  if (perS < 0.05) return "< 0.1";
  return perS < 100 ? tenths.format(perS) : whole.format(perS);
}

/** @param {number|null|undefined} durationMs milliseconds @returns {string} e.g. `84 ms`, `2.4 s`, `3 min` */
export function durationWords(durationMs) {
  if (durationMs === null || durationMs === undefined) return NONE;
  if (durationMs < 10) return `${tenths.format(durationMs)} ms`;
  if (durationMs < 1_000) return `${whole.format(durationMs)} ms`;
  if (durationMs < 10_000) return `${tenths.format(durationMs / 1_000)} s`;
  return ageWords(durationMs / 1_000);
}

/** @param {number} ageS seconds @returns {string} e.g. `8 s`, `3 min`, `2 h 5 min`, `4 d 3 h` */
export function ageWords(ageS) {
  const seconds = Math.max(0, Math.round(ageS));
  if (seconds < 100) return `${seconds} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** @param {number} share 0..1 @returns {string} e.g. `93 %` */
export function shareWords(share) {
  return `${whole.format(share * 100)} %`;
}

/** @param {number} count how many @param {string} one the noun for one @returns {string} e.g. `1 worker`, `3 workers` */
export function plural(count, one) {
  return `${whole.format(count)} ${one}${count === 1 ? "" : "s"}`;
}

/**
 * What is on a picture, the most frequent first.
 *
 * @param {{type: string}[]} objects what was detected
 * @returns {string} e.g. `3 person, 1 car`, or `nothing seen`
 */
export function objectsWords(objects) {
  /** @type {Map<string, number>} */
  const counts = new Map();
  for (const { type } of objects) counts.set(type, (counts.get(type) ?? 0) + 1);
  const sorted = [...counts].sort((a, b) => b[1] - a[1] || a[0].localeCompare(b[0]));
  return sorted.map(([type, count]) => `${count} ${type}`).join(", ") || "nothing seen";
}

/** @param {number|string} time milliseconds since 1970, or RFC 3339 @returns {string} the time of day here */
export function clockWords(time) {
  return new Date(time).toLocaleTimeString();
}

/** @param {number|string} time milliseconds since 1970, or RFC 3339 @returns {string} date and time here */
export function dateWords(time) {
  return new Date(time).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
}

/** @param {string} words an error of the API @returns {string} the same as a sentence */
export function sentence(words) {
  const text = words.charAt(0).toUpperCase() + words.slice(1);
  return /[.!?]$/.test(text) ? text : `${text}.`;
}
