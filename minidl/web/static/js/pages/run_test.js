// Try a run: one picture or a few, a record of its data set, or a whole part of it as an evaluation.

import { get, jobUrl, path, post, upload } from "../lib/api.js";
import { toastError } from "../lib/dialog.js";
import { fill, h } from "../lib/dom.js";
import { num, percent, whole } from "../lib/format.js";
import { icon } from "../lib/icons.js";
import { badge, doing } from "../lib/job.js";
import { boxesOver, boxList, large, source, tops } from "../lib/pictures.js";
import { empty, failed, loading } from "../lib/states.js";

/** @typedef {import("./run_model.js").RunModel} RunModel */
/** @typedef {import("../lib/pictures.js").Item} Item */
/** @typedef {{name: string, url: string, path: string, answer?: any, truth?: string|null}} Tried */

const MOST = 64; // pictures at a time
const LIST = "image/png,image/jpeg,image/bmp,image/gif,image/webp,.ppm,.pgm";

/** @param {HTMLElement} panel @param {RunModel} run */
export function show(panel, run) {
  if (!run.job.snapshots.some((one) => one.weights)) {
    fill(
      panel,
      empty({
        icon: "image",
        title: "No weights yet",
        text: "A run can be tried when it has written its first snapshot.",
        actions: [
          h(
            "button",
            { class: "btn", type: "button", onclick: () => location.reload() },
            icon("reset"),
            "Look again",
          ),
        ],
      }),
    );
    return;
  }
  const trial = new Trial(run);
  fill(panel, trial.node);
  trial.evaluations();
}

class Trial {
  /** @param {RunModel} run */
  constructor(run) {
    this.run = run;
    this.data = run.job.parents?.data ?? "";
    this.snapshot = h(
      "select",
      { "aria-label": "Snapshot" },
      run.job.snapshots
        .filter((one) => one.weights)
        .toReversed()
        .map((one) =>
          h(
            "option",
            { value: String(one.iter) },
            `Iteration ${whole(one.iter)}${one.epoch ? `, epoch ${num(one.epoch, 3)}` : ""}`,
          ),
        ),
    );
    this.answer = h("div", { class: "stack", "aria-live": "polite" });
    this.jobs = h("div", { class: "stack tight" });
    this.node = h(
      "div",
      { class: "stack loose" },
      h("div", { class: "toolbar" }, h("label", { class: "row" }, "Weights of", this.snapshot)),
      h(
        "div",
        { class: "grid cols-3 ways" },
        this.way("A picture", "One picture, or a few.", this.drop()),
        this.way(
          "A sample",
          "A record of the validation set, taken by chance or by its number.",
          this.sample(),
        ),
        this.way(
          "Many pictures",
          "A whole part of a dataset, a folder or a list, with the confusion matrix and the errors.",
          h(
            "div",
            { class: "btn-row" },
            h(
              "button",
              { class: "btn", type: "button", onclick: () => this.evaluate() },
              icon("play"),
              "Validation set",
            ),
            h("a", { class: "btn", href: `/new/evaluation?run=${path(run.id)}` }, "Others ..."),
          ),
          this.jobs,
        ),
      ),
      this.answer,
    );
  }

  /** @param {string} title @param {string} text @param {...Node} content */
  way(title, text, ...content) {
    return h(
      "section",
      { class: "card stack", "aria-label": title },
      h("div", null, h("h2", null, title), h("p", { class: "small muted" }, text)),
      ...content,
    );
  }

  drop() {
    const input = h("input", {
      type: "file",
      accept: LIST,
      multiple: true,
      class: "sr",
      "aria-label": "Choose pictures",
      onchange: () => {
        this.send([...(input.files ?? [])]);
        input.value = "";
      },
    });
    const place = h(
      "label",
      { class: "drop" },
      input,
      icon("image"),
      h("span", null, h("b", null, "Choose pictures"), " or drop them here"),
    );
    for (const name of ["dragenter", "dragover"])
      place.addEventListener(name, (event) => {
        event.preventDefault();
        place.classList.add("over");
      });
    for (const name of ["dragleave", "drop"])
      place.addEventListener(name, () => place.classList.remove("over"));
    place.addEventListener("drop", (event) => {
      event.preventDefault();
      this.send([...(event.dataTransfer?.files ?? [])]);
    });
    return place;
  }

  sample() {
    const number = h("input", {
      type: "number",
      min: 0,
      placeholder: "number",
      "aria-label": "Number of the record",
      disabled: !this.data,
    });
    const button = h(
      "button",
      {
        class: "btn",
        type: "button",
        disabled: !this.data,
        onclick: () => this.record(number.value),
      },
      icon("turn"),
      h("span", null, "Show one"),
    );
    return h(
      "div",
      { class: "stack tight" },
      h("div", { class: "with-button" }, number, button),
      !this.data && h("p", { class: "hint" }, "The dataset of this run is not below this root."),
    );
  }

  /** @param {File[]} files */
  async send(files) {
    const pictures = files.slice(0, MOST);
    if (!pictures.length) return;
    fill(this.answer, loading(3));
    try {
      const sent = await upload(pictures);
      await this.ask(
        sent.files.map((/** @type {any} */ file, /** @type {number} */ i) => ({
          name: file.name,
          path: file.path,
          url: URL.createObjectURL(pictures[i]),
        })),
      );
    } catch (error) {
      fill(
        this.answer,
        failed(error, () => this.send(files)),
      );
    }
  }

  /** A record of the validation set, by its number or by chance. @param {string} number */
  async record(number) {
    fill(this.answer, loading(3));
    try {
      const facts = (await get(`job/${path(this.data)}`)).dataset;
      const split = facts?.splits?.val ? "val" : "train";
      const records = facts?.splits?.[split]?.records ?? 1;
      const index = number === "" ? Math.floor(Math.random() * records) : Number(number);
      const [found, item] = await Promise.all([
        post(`classify/${path(this.run.id)}`, {
          record: { split, index },
          snapshot: Number(this.snapshot.value),
        }),
        get(`browse/${path(this.data)}`, { split, indices: index, thumb: 480 }),
      ]);
      const one = item.items[0];
      this.draw([
        {
          name: `Record ${index} of ${split}${one.name ? `, ${one.name}` : ""}`,
          path: "",
          url: source(found.record.png),
          answer: { target_png: one.target_png, ...found.pictures[0] },
          truth: one.class || null,
        },
      ]);
    } catch (error) {
      fill(
        this.answer,
        failed(error, () => this.record(number)),
      );
    }
  }

  /** @param {Tried[]} tried */
  async ask(tried) {
    const found = await post(`classify/${path(this.run.id)}`, {
      paths: tried.map((one) => one.path),
      snapshot: Number(this.snapshot.value),
    });
    this.draw(tried.map((one, i) => ({ ...one, answer: found.pictures[i] })));
  }

  /** @param {Tried[]} tried */
  draw(tried) {
    const one = tried.length === 1;
    fill(
      this.answer,
      h(
        "div",
        { class: one ? "tried one" : "tried" },
        tried.map((each) => this.card(each, one)),
      ),
    );
  }

  /** @param {Tried} tried @param {boolean} alone */
  card(tried, alone) {
    const { answer } = tried;
    const top = /** @type {[string, number][]|undefined} */ (answer.top);
    const seen = answer.output_png
      ? large({ index: 0, name: tried.name, ...answer }, answer.shares ? "segmentation" : "pairs")
      : answer.boxes
        ? h(
            "div",
            { class: "stage alone" },
            h("img", { src: tried.url, alt: tried.name }),
            boxesOver(answer),
          )
        : h("div", { class: "stage alone" }, h("img", { src: tried.url, alt: tried.name }));
    const button = h(
      "button",
      { class: "btn small", type: "button", onclick: () => this.inside(tried, button) },
      icon("layers"),
      "Look inside the net",
    );
    return h(
      "section",
      { class: "card tried-card", "aria-label": tried.name },
      h("div", { class: "tried-picture" }, seen),
      h(
        "div",
        { class: "stack" },
        h(
          "div",
          null,
          top && h("h2", { class: "wrap" }, top[0][0]),
          h("p", { class: "small faint wrap" }, tried.name),
          tried.truth &&
            top &&
            h(
              "p",
              null,
              h(
                "span",
                { class: "badge", data: { state: top[0][0] === tried.truth ? "done" : "failed" } },
                icon(top[0][0] === tried.truth ? "check" : "x"),
                top[0][0] === tried.truth ? "Right" : `It is ${tried.truth}`,
              ),
            ),
        ),
        top && tops(top, tried.truth),
        answer.boxes && boxList(answer.boxes),
        answer.shares && tops(answer.shares.slice(0, 8)),
        typeof answer.psnr === "number" && h("p", null, `PSNR ${num(answer.psnr)} dB`),
        alone ? h("div", null, button) : null,
      ),
    );
  }

  /** Begin an inspection of the net with this picture. @param {Tried} tried @param {HTMLButtonElement} button */
  async inside(tried, button) {
    button.disabled = true;
    try {
      let picture = tried.path;
      if (!picture) {
        picture = (await upload([asFile(tried.url)])).path;
      }
      const name = (tried.name.split("/").pop() ?? "").replace(/\.\w+$/, "");
      const form = { run: this.run.id, picture, snapshot: this.snapshot.value, name };
      const { jobs } = await post("jobs", { kind: "show", form });
      location.assign(jobUrl(jobs[0].id));
    } catch (error) {
      button.disabled = false;
      toastError(error);
    }
  }

  async evaluate() {
    const form = { run: this.run.id, over: "split", split: "val", snapshot: this.snapshot.value };
    await doing(async () => {
      const { jobs } = await post("jobs", { kind: "evaluate", form });
      location.assign(jobUrl(jobs[0].id));
    });
  }

  /** What was evaluated already. */
  async evaluations() {
    const { jobs } = await get("jobs", { kind: "evaluate,show" }).catch(() => ({ jobs: [] }));
    const own = jobs.filter((/** @type {any} */ job) => job.parents?.run === this.run.id);
    fill(
      this.jobs,
      own
        .slice(0, 5)
        .map((/** @type {any} */ job) =>
          h(
            "a",
            { class: "row small between", href: jobUrl(job.id) },
            h("span", { class: "clip" }, job.name),
            job.state === "done"
              ? h(
                  "span",
                  { class: "muted" },
                  job.metrics?.top1
                    ? percent(job.metrics.top1.last, 2)
                    : job.kind === "show"
                      ? "layers"
                      : "",
                )
              : badge(job.state),
          ),
        ),
    );
  }
}

/** A data: address as a file. @param {string} url */
function asFile(url) {
  const bytes = Uint8Array.from(atob(url.slice(url.indexOf(",") + 1)), (c) => c.charCodeAt(0));
  return new File([bytes], "record.png", { type: "image/png" });
}
