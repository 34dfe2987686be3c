// Bright enough that near-black text on each has a contrast of 7:1 or more, and far enough apart to tell classes by.
const COLOURS = [
  "#4cc9f0",
  "#ffd166",
  "#7ae582",
  "#ff9f6b",
  "#c8b6ff",
  "#f78fb3",
  "#5eead4",
  "#e8e84a",
  "#9ec5ff",
  "#ffb3a7",
  "#b8e986",
  "#f5b8ff",
];

/** Text on any of the colours of classes. */
export const INK = "#0b0e13";

/** @param {number} classId a class @returns {string} its colour, the same in every picture */
export function classColour(classId) {
  return COLOURS[Math.abs(classId - 1) % COLOURS.length];
}
