// What the weights of a new run are at the start: none, those of an earlier run, or a file.

import { get, path, upload } from "../lib/api.js";
import { doing } from "../lib/job.js";
import { fill, h } from "../lib/dom.js";
import { num, whole } from "../lib/format.js";
import { icon } from "../lib/icons.js";

/** @typedef {import("../lib/form.js").Form} Form */
/** @typedef {import("../lib/types.js").Summary} Summary */

export class WeightsChoice {
  /** @param {Form} form @param {Summary[]} runs */
  constructor(form, runs) {
    this.form = form;
    this.run = "";
    const snapshot = form.choice("snapshot", { label: "Snapshot", options: [["", "The last"]] });
    this.snapshots = /** @type {HTMLSelectElement} */ (form.fields.get("snapshot")?.control);
    this.wanted = "";
    const field = form.fields.get("snapshot");
    if (field)
      field.set = (value) => {
        this.wanted = String(value);
        this.snapshots.value = this.wanted;
      };
    const load = h("input", {
      type: "file",
      accept: ".caffemodel,.h5,.npz,.safetensors",
      class: "sr",
      "aria-label": "Upload weights",
      onchange: () => this.send(load),
    });
    this.sent = h("span", { class: "small muted", role: "status" });
    this.freeze = form.text("freeze_until", {
      label: "Freeze up to layer",
      placeholder: "none",
      hint: "It and all before it keep their weights.",
    });
    /** @type {Record<string, HTMLElement>} */
    this.parts = {
      run: runs.length
        ? h(
            "div",
            { class: "fields" },
            form.choice("run:weights", {
              label: "Run",
              options: runs.map((run) => [run.id, run.name]),
            }),
            snapshot,
          )
        : h("p", { class: "muted" }, "There is no run yet."),
      file: h(
        "div",
        { class: "stack tight" },
        form.place("file:weights", {
          label: "Weights",
          kind: "file",
          endings: [".caffemodel", ".h5", ".npz", ".safetensors"],
          required: true,
          hint: "Layers take theirs by name; a last layer for other classes begins anew.",
        }),
        h(
          "div",
          { class: "row" },
          h("label", { class: "btn small" }, load, icon("up"), "Upload a file"),
          this.sent,
        ),
      ),
    };
    this.node = h(
      "fieldset",
      { class: "group" },
      h("legend", null, "Weights"),
      h(
        "div",
        { class: "stack" },
        form.segments("weights_from", {
          label: "Begin with",
          options: [
            ["", "New weights"],
            ["run", "An earlier run"],
            ["file", "A file"],
          ],
        }),
        ...Object.values(this.parts),
        h("div", { class: "fields few" }, this.freeze),
      ),
    );
    const from = form.fields.get("weights_from");
    if (from) {
      this.from = from.get;
      from.get = () => ""; // it stands in no form of the server
    }
  }

  /** @param {HTMLInputElement} input */
  async send(input) {
    const file = input.files?.[0];
    if (!file) return;
    this.sent.textContent = `Sending ${file.name} ...`;
    const done = await doing(async () => {
      const found = await upload([file]);
      this.form.set({ "file:weights": found.path });
    });
    this.sent.textContent = done ? `${file.name} is here.` : "";
    input.value = "";
  }

  /** @param {Record<string, any>} _ */
  async changed(_) {
    const from = this.from?.() ?? "";
    const before = this.freeze.hidden;
    for (const [name, part] of Object.entries(this.parts)) part.hidden = name !== from;
    this.freeze.hidden = !from;
    if (before !== this.freeze.hidden) this.form.soon();
    const run = from === "run" ? this.form.get("run:weights") : "";
    if (run === this.run) return;
    this.run = run;
    if (!run) return;
    const job = await get(`job/${path(run)}`).catch(() => null);
    if (run !== this.run || !job) return;
    fill(
      this.snapshots,
      h("option", { value: "" }, "The last"),
      job.snapshots
        .toReversed()
        .filter((/** @type {any} */ one) => one.weights)
        .map((/** @type {any} */ one) =>
          h(
            "option",
            { value: String(one.iter) },
            `Iteration ${whole(one.iter)}${one.epoch ? `, epoch ${num(one.epoch, 3)}` : ""}`,
          ),
        ),
    );
    this.snapshots.value = this.wanted;
    if (this.snapshots.selectedIndex < 0) this.snapshots.value = "";
  }
}
