const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 120;
const HEIGHT = 32;
// Two points further apart than this had no answer between them.
const GAP_MS = 4_000;
// A page that has just been opened shows the little it has over the whole width, down to this.
const SHORTEST_MS = 30_000;

/** A line of a figure's last minutes, without axes; the figure itself stands beside it. */
export class Sparkline {
  constructor() {
    this.svg = document.createElementNS(SVG, "svg");
    this.svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
    this.svg.setAttribute("preserveAspectRatio", "none");
    this.svg.setAttribute("aria-hidden", "true");
    this.svg.setAttribute("class", "sparkline");
    this.area = this.svg.appendChild(document.createElementNS(SVG, "path"));
    this.area.setAttribute("class", "sparkline-area");
    this.line = this.svg.appendChild(document.createElementNS(SVG, "path"));
    this.line.setAttribute("class", "sparkline-line");
  }

  /** @param {import("./history.js").History} history what to draw @param {number} nowMs where it ends, ms since 1970 */
  draw(history, nowMs) {
    const known = history.points.filter(({ value }) => value !== null);
    const highest = Math.max(...known.map(({ value }) => /** @type {number} */ (value)), 0);
    const firstMs = history.points[0]?.atMs ?? nowMs;
    const spanMs = Math.min(Math.max(nowMs - firstMs, SHORTEST_MS), history.spanMs);
    const scale = highest > 0 ? (HEIGHT - 3) / highest : 0;
    /** @type {[number, number][][]} */
    const runs = [];
    let lastMs = -Infinity;
    for (const { atMs, value } of known) {
      const x = WIDTH * (1 - (nowMs - atMs) / spanMs);
      const y = HEIGHT - 1.5 - /** @type {number} */ (value) * scale;
      if (atMs - lastMs > GAP_MS) runs.push([]);
      runs[runs.length - 1].push([x, y]);
      lastMs = atMs;
    }
    const path = (run) => run.map(([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`).join("L");
    this.line.setAttribute("d", runs.map((run) => `M${path(run)}`).join(""));
    const filled = runs.filter((run) => run.length > 1);
    this.area.setAttribute(
      "d",
      filled
        .map(
          (run) =>
            `M${run[0][0].toFixed(1)} ${HEIGHT}L${path(run)}L${run[run.length - 1][0].toFixed(1)} ${HEIGHT}Z`,
        )
        .join(""),
    );
  }
}
