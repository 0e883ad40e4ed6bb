// The confusion matrix: rows are what records are, columns what they were taken for. Small ones are
// a table, large ones a canvas; beside it the pairs that are confused most, below it the pictures.

import { fill, h } from "../lib/dom.js";
import { percent, plural, whole } from "../lib/format.js";
import { choices } from "../lib/store.js";
import { colour, onTheme } from "../lib/theme.js";
import { Items } from "./evaluation_items.js";

/** @typedef {import("../lib/types.js").Job} Job */
/** @typedef {{truth: number, predicted: number, count: number, share: number}} Pair */

const AS_TABLE = 30; // classes
const MOST = 60; // pairs that are listed

/** @param {HTMLElement} panel @param {Job} job */
export function show(panel, job) {
  const found = job.evaluation;
  const matrix = /** @type {number[][]} */ (found.confusion);
  const labels = /** @type {string[]} */ (found.labels);
  const sums = matrix.map((row) => row.reduce((a, b) => a + b, 0));
  const pictures = found.task === "classification";
  const unit = pictures ? "record" : "pixel";
  const view = choices("evaluation-confusion", { truth: "", predicted: "", shares: true }, [
    "truth",
    "predicted",
  ]);
  const items = new Items(job);
  const chosen = h("h2", { id: "cell" });
  const behind = h(
    "section",
    { class: "section stack", "aria-labelledby": "cell", hidden: true },
    chosen,
    items.node,
  );
  const grid =
    labels.length <= AS_TABLE
      ? new MatrixTable(matrix, labels, sums, choose)
      : new MatrixCanvas(matrix, labels, sums, choose);
  const pairs = confused(matrix, sums);
  const list = h("ol", { class: "pairs" });
  const search = h("input", {
    type: "search",
    list: "classes",
    placeholder: "Confused with ...",
    "aria-label": "Find a class among the confused",
    oninput: () => drawPairs(),
  });
  const shares = h("input", {
    type: "checkbox",
    role: "switch",
    checked: view.get("shares"),
    onchange: () => {
      view.set("shares", shares.checked);
      grid.draw(shares.checked);
    },
  });

  function drawPairs() {
    const words = search.value.trim().toLowerCase();
    const fits = pairs.filter(
      (pair) =>
        !words ||
        labels[pair.truth].toLowerCase().includes(words) ||
        labels[pair.predicted].toLowerCase().includes(words),
    );
    fill(
      list,
      fits.slice(0, MOST).map((pair) =>
        h(
          "li",
          null,
          h(
            "button",
            {
              type: "button",
              onclick: () => choose(pair.truth, pair.predicted),
              disabled: !pictures,
            },
            h("span", { class: "grow clip" }, `${labels[pair.truth]} → ${labels[pair.predicted]}`),
            h("span", { class: "num" }, whole(pair.count)),
            h("span", { class: "num faint small" }, percent(pair.share, 0)),
          ),
        ),
      ),
      !fits.length &&
        h("li", { class: "faint small" }, words ? "No such pair." : "Nothing was confused."),
      fits.length > MOST &&
        h("li", { class: "faint small" }, `and ${whole(fits.length - MOST)} more`),
    );
  }

  /** @param {number} truth @param {number} predicted */
  function choose(truth, predicted) {
    view.set("truth", labels[truth]);
    view.set("predicted", predicted < 0 ? "" : labels[predicted], true);
    open(true);
  }

  /** @param {boolean} [scroll] */
  function open(scroll = false) {
    const [truth, predicted] = [view.get("truth"), view.get("predicted")];
    const at = labels.indexOf(truth);
    const to = labels.indexOf(predicted);
    grid.mark(at, to);
    behind.hidden = !pictures || at < 0;
    if (behind.hidden) return;
    const count = to < 0 ? sums[at] : matrix[at][to];
    chosen.textContent =
      to < 0
        ? `${plural(count, unit)} of ${truth}`
        : at === to
          ? `${plural(count, unit)} of ${truth}, answered rightly`
          : `${plural(count, unit)} of ${truth}, taken for ${predicted}`;
    items.show({ truth, predicted, sort: at === to || to >= 0 ? "confident" : "loss" });
    if (scroll) behind.scrollIntoView({ block: "nearest", behavior: "smooth" });
  }

  fill(
    panel,
    h(
      "div",
      { class: "confusion" },
      h(
        "div",
        { class: "stack grow" },
        h(
          "div",
          { class: "row between" },
          h(
            "p",
            { class: "small muted" },
            `Rows: what ${unit}s are. Columns: what they were taken for.`,
          ),
          h("label", { class: "switch" }, shares, "Shares of each row"),
        ),
        grid.node,
      ),
      h(
        "section",
        { class: "stack tight", "aria-label": "Most confused" },
        h("h2", null, "Most confused"),
        h("div", { class: "search" }, search),
        h(
          "datalist",
          { id: "classes" },
          labels.slice(0, 2000).map((label) => h("option", { value: label })),
        ),
        list,
      ),
    ),
    behind,
  );
  grid.draw(shares.checked);
  drawPairs();
  open();
  view.on(() => open());
}

/** All pairs of classes that were confused, the most frequent first. @param {number[][]} matrix @param {number[]} sums @returns {Pair[]} */
function confused(matrix, sums) {
  /** @type {Pair[]} */
  const found = [];
  matrix.forEach((row, truth) =>
    row.forEach((count, predicted) => {
      if (count && truth !== predicted)
        found.push({ truth, predicted, count, share: count / sums[truth] });
    }),
  );
  return found.sort((a, b) => b.count - a.count || b.share - a.share);
}

class MatrixTable {
  /** @param {number[][]} matrix @param {string[]} labels @param {number[]} sums @param {(truth: number, predicted: number) => void} choose */
  constructor(matrix, labels, sums, choose) {
    this.matrix = matrix;
    this.sums = sums;
    /** @type {HTMLButtonElement[][]} */
    this.cells = matrix.map((row, truth) =>
      row.map((_, predicted) =>
        h("button", { type: "button", tabindex: "-1", onclick: () => choose(truth, predicted) }),
      ),
    );
    this.labels = labels;
    const table = h(
      "table",
      { class: labels.length <= 6 ? "matrix few" : "matrix" },
      h("caption", { class: "sr" }, "Confusion matrix: rows are classes, columns answers"),
      h(
        "thead",
        null,
        h(
          "tr",
          null,
          h("td"),
          labels.map((label) => h("th", { scope: "col" }, h("span", { title: label }, label))),
        ),
      ),
      h(
        "tbody",
        null,
        matrix.map((_, truth) =>
          h(
            "tr",
            null,
            h(
              "th",
              { scope: "row" },
              h(
                "button",
                {
                  class: "link clip",
                  type: "button",
                  title: labels[truth],
                  onclick: () => choose(truth, -1),
                },
                labels[truth],
              ),
            ),
            this.cells[truth].map((cell) => h("td", null, cell)),
          ),
        ),
      ),
    );
    table.addEventListener("keydown", (event) => this.walk(event));
    this.node = h("div", { class: "matrix-wrap card" }, table);
    if (this.cells[0]?.[0]) this.cells[0][0].tabIndex = 0;
  }

  /** @param {boolean} shares */
  draw(shares) {
    const most = Math.max(1, ...this.matrix.flat());
    this.matrix.forEach((row, truth) =>
      row.forEach((count, predicted) => {
        const cell = this.cells[truth][predicted];
        const share = this.sums[truth] ? count / this.sums[truth] : 0;
        cell.textContent = count
          ? shares
            ? (share * 100).toFixed(share >= 0.0995 || share === 0 ? 0 : 1)
            : whole(count)
          : "·";
        cell.className = count ? (truth === predicted ? "right" : "wrong") : "none";
        const heat = Math.sqrt(shares ? share : count / most);
        cell.style.setProperty("--heat", `${Math.round(heat * 42)}%`);
        cell.setAttribute(
          "aria-label",
          `${plural(count, "record")} of ${this.labels[truth]} taken for ${this.labels[predicted]}, ${percent(share, 1)}`,
        );
      }),
    );
  }

  /** @param {number} truth @param {number} predicted */
  mark(truth, predicted) {
    this.cells.flat().forEach((cell) => cell.classList.remove("on"));
    if (truth >= 0 && predicted >= 0) this.cells[truth][predicted].classList.add("on");
  }

  /** Arrow keys go from cell to cell. @param {KeyboardEvent} event */
  walk(event) {
    /** @type {Record<string, [number, number]>} */
    const steps = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    const step = steps[event.key];
    const at = this.cells.findIndex((row) => row.includes(/** @type {any} */ (event.target)));
    if (!step || at < 0) return;
    const to = this.cells[at].indexOf(/** @type {any} */ (event.target));
    const next = this.cells[at + step[0]]?.[to + step[1]];
    if (!next) return;
    event.preventDefault();
    this.cells[at][to].tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  }
}

/** A matrix of many classes, a square for each cell; of very many, several cells to a pixel. */
class MatrixCanvas {
  /** @param {number[][]} matrix @param {string[]} labels @param {number[]} sums @param {(truth: number, predicted: number) => void} choose */
  constructor(matrix, labels, sums, choose) {
    this.matrix = matrix;
    this.labels = labels;
    this.sums = sums;
    this.shares = true;
    this.on = [-1, -1];
    this.size = labels.length;
    this.canvas = h("canvas", {
      class: "matrix-canvas",
      role: "img",
      "aria-label": `Confusion matrix of ${this.size} classes; the pairs beside it say the same in words`,
    });
    this.said = h("p", { class: "small muted matrix-said" }, "Point at a cell.");
    this.canvas.addEventListener("pointermove", (event) => this.point(event));
    this.canvas.addEventListener("click", (event) => {
      const [truth, predicted] = this.cell(event);
      choose(truth, predicted);
    });
    this.node = h("div", { class: "card stack tight" }, this.canvas, this.said);
    onTheme(() => this.draw(this.shares));
  }

  /** @param {boolean} shares */
  draw(shares) {
    this.shares = shares;
    const n = this.size;
    const side = Math.max(1, Math.floor(700 / n));
    this.canvas.width = this.canvas.height = n * side;
    const pen = /** @type {CanvasRenderingContext2D} */ (this.canvas.getContext("2d"));
    pen.fillStyle = colour("--sunken");
    pen.fillRect(0, 0, n * side, n * side);
    const [good, bad] = [colour("--good"), colour("--bad")];
    const most = Math.max(1, ...this.matrix.map((row) => Math.max(...row)));
    this.matrix.forEach((row, truth) =>
      row.forEach((count, predicted) => {
        if (!count) return;
        const heat = Math.sqrt(this.shares ? count / this.sums[truth] : count / most);
        pen.globalAlpha = 0.3 + 0.7 * heat;
        pen.fillStyle = truth === predicted ? good : bad;
        pen.fillRect(predicted * side, truth * side, side, side);
      }),
    );
    pen.globalAlpha = 1;
    const [truth, predicted] = this.on;
    if (truth >= 0 && predicted >= 0) {
      pen.strokeStyle = colour("--accent");
      pen.lineWidth = 2;
      pen.strokeRect(predicted * side - 2, truth * side - 2, side + 4, side + 4);
    }
  }

  /** @param {MouseEvent} event @returns {[number, number]} */
  cell(event) {
    const box = this.canvas.getBoundingClientRect();
    const at = (/** @type {number} */ way) =>
      Math.min(this.size - 1, Math.max(0, Math.floor(way * this.size)));
    return [at((event.clientY - box.top) / box.height), at((event.clientX - box.left) / box.width)];
  }

  /** @param {MouseEvent} event */
  point(event) {
    const [truth, predicted] = this.cell(event);
    const count = this.matrix[truth][predicted];
    this.said.textContent = `${this.labels[truth]} taken for ${this.labels[predicted]}: ${whole(count)}${this.sums[truth] ? `, ${percent(count / this.sums[truth], 1)}` : ""}`;
  }

  /** @param {number} truth @param {number} predicted */
  mark(truth, predicted) {
    this.on = [truth, predicted];
    this.draw(this.shares);
  }
}
