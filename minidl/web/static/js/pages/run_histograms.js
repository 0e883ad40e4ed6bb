// Weights, gradients, activations and updates over time: for each a map of its histograms, time to
// the right, values upwards, darker where more of the numbers are.

import { get, path } from "../lib/api.js";
import { fill, frame, h, say, seen } from "../lib/dom.js";
import { num, percent, whole } from "../lib/format.js";
import { empty, failed, loading } from "../lib/states.js";
import { choices } from "../lib/store.js";
import { colour, onTheme } from "../lib/theme.js";

/** @typedef {import("./run_model.js").RunModel} RunModel */
/** @typedef {{name: string, kind: string, layer: string, shape: number[]}} Blob */
/** @typedef {{counts: number[], edges: [number, number], mean: number, std: number, min: number,
 *             max: number, zeros?: number, idle?: number}} Row */

const KINDS = {
  weight: "Weights",
  gradient: "Gradients",
  activation: "Activations",
  update: "Updates",
};
const view = choices("run.histograms", { of: "weight" }, ["of"]);

/** @param {HTMLElement} panel @param {RunModel} run */
export async function show(panel, run) {
  fill(panel, loading(6));
  try {
    const { blobs } = await get(`histograms/${path(run.id)}`);
    if (!blobs?.length) {
      fill(
        panel,
        empty({
          icon: "chart",
          title: "No histograms",
          text: h(
            "p",
            null,
            "A run keeps histograms of its numbers when it is started with ",
            h("code", null, "--histograms 1"),
            ": once an epoch. They show layers that die, and steps that are too large or too small.",
          ),
        }),
      );
      run.on(
        "line",
        (line) => line.event === "histograms" && panel.querySelector(".empty") && show(panel, run),
      );
      return;
    }
    const maps = new Maps(run, blobs);
    fill(panel, maps.node);
  } catch (error) {
    fill(
      panel,
      failed(error, () => show(panel, run)),
    );
  }
}

class Maps {
  /** @param {RunModel} run @param {Blob[]} blobs */
  constructor(run, blobs) {
    this.run = run;
    this.blobs = blobs;
    this.kinds = Object.keys(KINDS).filter((kind) => blobs.some((blob) => blob.kind === kind));
    if (!this.kinds.includes(view.get("of"))) view.set("of", this.kinds[0] ?? "weight");
    this.grid = h("div", { class: "grid cols-2" });
    /** @type {HeatMap[]} */
    this.maps = [];
    this.node = h(
      "div",
      { class: "stack" },
      h(
        "div",
        { class: "row" },
        h(
          "div",
          { class: "segmented", role: "radiogroup", "aria-label": "Numbers of" },
          this.kinds.map((kind) => this.choice(kind)),
        ),
        h(
          "p",
          { class: "small faint" },
          "Time to the right, values upwards; the line is the mean.",
        ),
      ),
      this.grid,
    );
    run.on(
      "line",
      (line) => line.event === "histograms" && this.maps.forEach((map) => map.stale()),
    );
    onTheme(() => this.maps.forEach((map) => map.paint()));
    this.draw();
  }

  /** @param {string} kind */
  choice(kind) {
    const choose = () => {
      view.set("of", kind);
      this.draw();
    };
    return h(
      "label",
      null,
      h("input", {
        type: "radio",
        name: "histograms-of",
        value: kind,
        checked: view.get("of") === kind,
        onchange: choose,
      }),
      h("span", null, KINDS[/** @type {keyof typeof KINDS} */ (kind)]),
    );
  }

  draw() {
    this.maps = this.blobs
      .filter((blob) => blob.kind === view.get("of"))
      .map((blob) => new HeatMap(this.run, blob));
    fill(
      this.grid,
      this.maps.map((map) => map.node),
    );
  }
}

class HeatMap {
  /** @param {RunModel} run @param {Blob} blob */
  constructor(run, blob) {
    this.run = run;
    this.blob = blob;
    /** @type {number[]} */
    this.iters = [];
    /** @type {Row[]} */
    this.rows = [];
    this.seen = false;
    this.canvas = h("canvas", {
      class: "heat",
      tabindex: "0",
      role: "img",
      "aria-label": blob.name,
    });
    this.words = h("p", { class: "small faint clip" }, "\u00a0");
    this.node = h(
      "section",
      { class: "card", "aria-label": blob.name },
      h(
        "div",
        { class: "card-head" },
        h("h2", { class: "clip" }, blob.name),
        h("span", { class: "small faint" }, blob.shape.join(" × ")),
      ),
      this.canvas,
      this.words,
    );
    this.paint = frame(() => this.draw());
    this.at = -1;
    this.canvas.addEventListener("pointermove", (event) =>
      this.point(event.offsetX / this.canvas.clientWidth),
    );
    this.canvas.addEventListener("pointerleave", () => this.read(-1));
    this.canvas.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!step) return;
      event.preventDefault();
      this.read(
        Math.min(
          Math.max((this.at < 0 ? this.rows.length - 1 : this.at) + step, 0),
          this.rows.length - 1,
        ),
      );
    });
    seen(this.node, () => {
      this.seen = true;
      this.load();
    });
    new ResizeObserver(() => this.paint()).observe(this.canvas);
  }

  stale() {
    if (this.seen && this.node.isConnected) this.load();
  }

  async load() {
    try {
      const found = await get(`histograms/${path(this.run.id)}`, { name: this.blob.name });
      this.iters = found.iters;
      this.rows = found.rows;
      this.paint();
      this.read(-1);
    } catch (error) {
      say(this.words, error instanceof Error ? error.message : String(error));
    }
  }

  draw() {
    const { canvas, rows } = this;
    const scale = window.devicePixelRatio || 1;
    const [width, height] = [canvas.clientWidth * scale, canvas.clientHeight * scale];
    if (!width || !rows.length) return;
    canvas.width = width;
    canvas.height = height;
    const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    const foot = 20 * scale;
    const room = height - foot;
    let low = Math.min(...rows.map((row) => row.edges[0]));
    let high = Math.max(...rows.map((row) => row.edges[1]));
    if (!(high > low)) [low, high] = [low - 1, high + 1];
    const y = (/** @type {number} */ value) => room - ((value - low) / (high - low)) * room;
    const wide = width / rows.length;
    pen.fillStyle = colour("--sunken");
    pen.fillRect(0, 0, width, room);
    pen.fillStyle = colour("--accent");
    rows.forEach((row, i) => {
      const most = Math.max(...row.counts, 1);
      const step = (row.edges[1] - row.edges[0]) / row.counts.length;
      row.counts.forEach((count, k) => {
        if (!count) return;
        pen.globalAlpha = 0.06 + 0.94 * Math.sqrt(count / most);
        const top = y(row.edges[0] + (k + 1) * step);
        pen.fillRect(
          Math.floor(i * wide),
          Math.floor(top),
          Math.ceil(wide),
          Math.max(1, Math.ceil(y(row.edges[0] + k * step) - top)),
        );
      });
    });
    pen.globalAlpha = 1;
    pen.strokeStyle = colour("--ink");
    pen.lineWidth = 1.2 * scale;
    pen.beginPath();
    rows.forEach((row, i) => pen.lineTo((i + 0.5) * wide, y(row.mean)));
    pen.stroke();
    if (this.at >= 0) {
      pen.strokeStyle = colour("--c2");
      pen.strokeRect(this.at * wide, 0, wide, room);
    }
    pen.fillStyle = colour("--ink-3");
    pen.font = `${11 * scale}px system-ui, sans-serif`;
    pen.textBaseline = "bottom";
    pen.fillText(`iteration ${whole(this.iters[0])}`, 2, height);
    pen.textAlign = "right";
    pen.fillText(whole(this.iters[this.iters.length - 1]), width - 2, height);
    pen.textAlign = "left";
    pen.textBaseline = "top";
    pen.fillStyle = colour("--ink-2");
    pen.fillText(num(high, 3), 4, 3 * scale);
    pen.textBaseline = "bottom";
    pen.fillText(num(low, 3), 4, room - 3 * scale);
  }

  /** @param {number} share of the width */
  point(share) {
    this.read(Math.min(Math.max(Math.floor(share * this.rows.length), 0), this.rows.length - 1));
  }

  /** Say the figures of one time; of the last for -1. @param {number} at */
  read(at) {
    this.at = at;
    const i = at < 0 ? this.rows.length - 1 : at;
    const row = this.rows[i];
    if (!row) return;
    const parts = [
      `iteration ${whole(this.iters[i])}`,
      `mean ${num(row.mean, 3)}`,
      `std ${num(row.std, 3)}`,
      `${num(row.min, 3)} to ${num(row.max, 3)}`,
    ];
    if (row.zeros) parts.push(`${percent(row.zeros, 0)} zeros`);
    if (row.idle) parts.push(`${whole(row.idle)} idle`);
    say(this.words, parts.join(" · "));
    this.canvas.setAttribute("aria-label", `${this.blob.name}: ${parts.join(", ")}`);
    this.paint();
  }
}
