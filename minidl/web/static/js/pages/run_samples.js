// Pictures of the validation set as the net sees them, at every time they were written.

import { fileUrl, get, path } from "../lib/api.js";
import { fill, h, later, say } from "../lib/dom.js";
import { num, percent, whole } from "../lib/format.js";
import { icon } from "../lib/icons.js";
import { empty, failed, loading } from "../lib/states.js";

/** @typedef {import("./run_model.js").RunModel} RunModel */
/** @typedef {{label?: string, predicted?: [string, number][], input?: string, output?: string,
 *             target?: string, psnr?: number|null}} Item */

/** @param {HTMLElement} panel @param {RunModel} run */
export async function show(panel, run) {
  fill(panel, loading(4));
  try {
    const { iters } = await get(`samples/${path(run.id)}`);
    const samples = new Samples(run, iters);
    fill(panel, samples.node);
    run.on("line", (line) => line.event === "samples" && samples.more(line.iter));
    samples.draw();
  } catch (error) {
    fill(
      panel,
      failed(error, () => show(panel, run)),
    );
  }
}

class Samples {
  /** @param {RunModel} run @param {number[]} iters */
  constructor(run, iters) {
    this.run = run;
    this.iters = iters;
    this.at = iters.length - 1;
    this.follow = true;
    this.grid = h("div");
    this.out = h("output", { class: "nowrap" });
    this.slider = h("input", {
      type: "range",
      min: 0,
      step: 1,
      "aria-label": "Iteration",
      oninput: () => this.go(Number(this.slider.value)),
    });
    const step = (
      /** @type {number} */ by,
      /** @type {string} */ drawing,
      /** @type {string} */ label,
    ) =>
      h(
        "button",
        {
          class: "btn icon small",
          type: "button",
          "aria-label": label,
          onclick: () => this.go(this.at + by),
        },
        icon(drawing),
      );
    this.bar = h(
      "div",
      { class: "row sample-bar" },
      step(-1, "left", "Earlier"),
      h("label", { class: "range grow" }, this.slider),
      step(1, "right", "Later"),
      this.out,
    );
    this.node = h("div", { class: "stack" }, this.bar, this.grid);
    this.fetch = later(60, () => this.load());
  }

  /** @param {number} iter */
  more(iter) {
    this.iters.push(iter);
    if (this.follow) this.at = this.iters.length - 1;
    this.draw();
  }

  /** @param {number} at */
  go(at) {
    this.at = Math.min(Math.max(at, 0), this.iters.length - 1);
    this.follow = this.at === this.iters.length - 1;
    this.draw();
  }

  draw() {
    this.bar.hidden = !this.iters.length;
    if (!this.iters.length) {
      fill(
        this.grid,
        empty({
          icon: "image",
          title: "No samples",
          text: h(
            "p",
            null,
            "A run shows pictures of its validation set when it is started with ",
            h("code", null, "--samples 1"),
            ": once an epoch.",
          ),
        }),
      );
      return;
    }
    this.slider.max = String(this.iters.length - 1);
    this.slider.value = String(this.at);
    say(this.out, `Iteration ${whole(this.iters[this.at])}`);
    this.fetch();
  }

  async load() {
    const iter = this.iters[this.at];
    try {
      const found = await get(`samples/${path(this.run.id)}`, { iter });
      if (iter !== this.iters[this.at]) return;
      const url = (/** @type {string} */ name) => fileUrl(this.run.id, `${found.folder}/${name}`);
      const pairs = found.items.some((/** @type {Item} */ item) => item.output);
      fill(
        this.grid,
        h(
          "div",
          { class: pairs ? "sample-pairs" : "sample-grid" },
          found.items.map((/** @type {Item} */ item) =>
            pairs ? pair(item, url) : single(item, url),
          ),
        ),
      );
    } catch (error) {
      fill(
        this.grid,
        failed(error, () => this.load()),
      );
    }
  }
}

/** @param {Item} item @param {(name: string) => string} url */
function single(item, url) {
  const right = item.predicted?.[0]?.[0] === item.label;
  return h(
    "figure",
    { class: "figure card" },
    item.input &&
      h("img", { src: url(item.input), alt: item.label ?? "Sample", width: 160, height: 160 }),
    h(
      "figcaption",
      { class: "stack tight" },
      item.label !== undefined &&
        h(
          "span",
          { class: "badge", data: { state: right ? "done" : "failed" } },
          icon(right ? "check" : "x"),
          item.label,
        ),
      h(
        "ul",
        null,
        (item.predicted ?? [])
          .slice(0, 3)
          .map(([label, score]) =>
            h(
              "li",
              { class: "score" },
              h("span", { class: "clip" }, label),
              h("progress", { max: 1, value: score, "aria-label": label }),
              h("span", { class: "num" }, percent(score, 0)),
            ),
          ),
      ),
    ),
  );
}

/** @param {Item} item @param {(name: string) => string} url */
function pair(item, url) {
  const part = (/** @type {string} */ title, /** @type {string|undefined} */ name) =>
    name &&
    h(
      "div",
      null,
      h("img", { src: url(name), alt: title, width: 160, height: 160 }),
      h("p", { class: "small faint" }, title),
    );
  return h(
    "figure",
    { class: "figure card" },
    h(
      "div",
      { class: "sample-parts" },
      part("Input", item.input),
      part("Output", item.output),
      part("Target", item.target),
    ),
    typeof item.psnr === "number" && h("figcaption", null, `PSNR ${num(item.psnr, 3)} dB`),
  );
}
