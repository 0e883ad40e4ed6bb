// What a new run learns from: a data set, with its summary beside it.

import { fileUrl, get, jobUrl, path } from "../lib/api.js";
import { fill, h } from "../lib/dom.js";
import { bytes, plural, whole } from "../lib/format.js";
import { icon } from "../lib/icons.js";
import { empty, loading, notice, problem } from "../lib/states.js";

/** @typedef {import("../lib/form.js").Form} Form */
/** @typedef {import("../lib/types.js").Summary} Summary */

const OTHER = ".";

export class DataChoice {
  /** @param {Form} form @param {Summary[]} found */
  constructor(form, found) {
    this.form = form;
    this.found = found;
    this.chosen = "";
    /** @type {any} dataset.json of the one that is chosen */
    this.facts = null;
    this.about = h("div", { class: "data-facts" });
    /** @type {[string, string][]} */
    const options = found.map((job) => [
      job.id,
      job.state === "done" ? job.name : `${job.name} (${job.state})`,
    ]);
    const choice = form.choice("data", {
      label: "Dataset",
      required: true,
      options: [...options, [OTHER, "Another folder ..."]],
      wide: true,
    });
    this.other = form.place("folder:data", {
      label: "Folder of a dataset, or of pictures",
      kind: "folder",
      required: true,
    });
    this.node = h(
      "fieldset",
      { class: "group" },
      h("legend", null, "Data"),
      found.length
        ? h("div", { class: "fields" }, choice, this.other, h("div", { class: "wide" }, this.about))
        : h(
            "div",
            { class: "stack" },
            empty({
              icon: "image",
              boxed: true,
              title: "No dataset yet",
              text: "A run learns from a dataset. Make one from a folder of pictures first, or name a folder of one below.",
              actions: [
                h("a", { class: "btn primary", href: "/new/dataset" }, icon("plus"), "New dataset"),
              ],
            }),
            this.other,
            this.about,
          ),
    );
    // the folder in place of the choice, when it is shown
    const field = form.fields.get("data");
    if (field) {
      const set = field.set;
      const get = field.get;
      field.get = () => (get() === OTHER ? "" : get());
      field.set = (value) => {
        const known = found.some((job) => job.id === value);
        set(known ? value : OTHER);
        if (!known) form.fields.get("folder:data")?.set(value);
      };
      this.isOther = () => get() === OTHER;
    }
  }

  /** @param {Record<string, any>} _ */
  async changed(_) {
    this.other.hidden = this.found.length > 0 && !this.isOther?.();
    const id = this.other.hidden ? this.form.get("data") : "";
    if (id === this.chosen) return;
    this.chosen = id;
    this.facts = null;
    if (!id) {
      fill(this.about);
      return;
    }
    fill(this.about, h("div", { class: "grow" }, loading(2)));
    try {
      const job = await get(`job/${path(id)}`);
      if (id !== this.chosen) return;
      this.facts = job.dataset ?? null;
      fill(this.about, this.drawn(job));
      this.form.changed();
    } catch (error) {
      if (id === this.chosen) fill(this.about, notice("warn", problem(error)));
    }
  }

  /** @param {any} job */
  drawn(job) {
    const facts = job.dataset;
    if (!facts)
      return [
        h(
          "p",
          { class: "muted" },
          job.state === "done"
            ? "This folder says nothing of what it holds: an older minidl made it."
            : "This dataset is still being made. The run waits for it.",
        ),
      ];
    const [high, wide] = facts.size;
    const parts = Object.entries(facts.splits).map(
      ([name, part]) => `${whole(/** @type {any} */ (part).records)} ${name}`,
    );
    const kind =
      facts.task === "pairs"
        ? `pairs, targets are ${facts.targets === "classes" ? "classes of pixels" : "pictures"}`
        : plural(facts.labels.length, "class", "classes");
    const mean = job.files.some((/** @type {any} */ file) => file.name === "mean.png");
    return [
      mean &&
        h("img", { src: fileUrl(job.id, "mean.png"), alt: "Mean image", width: 72, height: 72 }),
      h(
        "div",
        { class: "grow" },
        h("p", null, `${parts.join(", ")}; ${kind}`),
        h(
          "p",
          { class: "muted small" },
          `${high} × ${wide}, ${facts.channels === 1 ? "grey" : "colour"}${facts.bytes ? `, ${bytes(facts.bytes)}` : ""}`,
        ),
        h("p", { class: "small" }, h("a", { href: jobUrl(job.id) }, "About this dataset")),
      ),
    ];
  }
}
