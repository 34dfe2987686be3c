import { element } from "./element.js";

/**
 * A table that becomes a list of cards where there is little room. The roles are spelled out because browsers forget
 * what a table is once its rows are laid out in another way.
 */
export class Table {
  #drawn = "";

  /** @param {string} caption what it holds, for screen readers @param {string[]} columns their headings */
  constructor(caption, columns) {
    this.columns = columns;
    this.body = element("tbody", { role: "rowgroup" });
    const headings = columns.map((name) => element("th", { scope: "col", role: "columnheader" }, name));
    this.element = element(
      "table",
      { class: "table", role: "table" },
      element("caption", { class: "unseen" }, caption),
      element("thead", { role: "rowgroup" }, element("tr", { role: "row" }, ...headings)),
      this.body,
    );
  }

  /**
   * Shows rows.
   *
   * @param {{key: string, cells: (string|Node)[]}[]} rows in order; `key` becomes `data-key`
   */
  show(rows) {
    const text = JSON.stringify(
      rows.map(({ key, cells }) => [
        key,
        cells.map((cell) => (typeof cell === "string" ? cell : cell.textContent)),
      ]),
    );
    if (text === this.#drawn) return;
    this.#drawn = text;
    this.body.replaceChildren(
      ...rows.map(({ key, cells }) =>
        element("tr", { role: "row", "data-key": key }, ...cells.map((cell, nth) => this.#cell(cell, nth))),
      ),
    );
  }

  #cell(cell, nth) {
    const attributes = { "data-label": this.columns[nth] };
    return nth === 0
      ? element("th", { ...attributes, scope: "row", role: "rowheader" }, cell)
      : element("td", { ...attributes, role: "cell" }, cell);
  }
}
