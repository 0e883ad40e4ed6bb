// The net of a new run: of the zoo, of an earlier run, a file, or a text that is checked as one types.

import { ApiError, apiUrl, get, path, post } from "../lib/api.js";
import { inWords } from "../lib/cost.js";
import { fill, h, later } from "../lib/dom.js";
import { icon } from "../lib/icons.js";
import { notice, problem } from "../lib/states.js";
import { starters } from "./new_run_starters.js";

/** @typedef {import("../lib/form.js").Form} Form */
/** @typedef {import("../lib/types.js").Summary} Summary */
/** @typedef {{name: string, title: string, size: number[]|null, classifies: boolean,
 *             text?: string}} Zoo */

export class NetChoice {
  /** @param {Form} form @param {Zoo[]} zoo @param {Summary[]} runs @param {() => any} data dataset.json of the data */
  constructor(form, zoo, runs, data) {
    this.form = form;
    this.zoo = zoo;
    this.data = data;
    this.asked = "";
    /** @type {import("../lib/editor.js").Editor|null} made when a text is first wanted */
    this.editor = null;
    this.text = "";
    this.desk = h("div", { class: "desk" });
    this.said = h("p", { class: "small muted grow", role: "status" });
    /** @type {import("../lib/netview.js").NetView|null} made when the drawing is first looked at */
    this.view = null;
    /** @type {any} */
    this.described = null;
    this.seen = h(
      "details",
      { class: "more", ontoggle: () => this.draw() },
      h("summary", null, "The net, drawn"),
    );
    this.hint = h("div");
    this.customize = h(
      "button",
      { class: "btn small", type: "button", onclick: () => this.edit() },
      icon("edit"),
      "Edit its prototxt",
    );
    const cards = h(
      "div",
      { class: "choices", role: "radiogroup", "aria-label": "Nets of the zoo" },
      zoo
        .filter((one) => one.classifies)
        .map((one) =>
          h(
            "label",
            { class: "option" },
            h("input", { type: "radio", name: "zoo-net", value: one.name, checked: false }),
            h("b", null, one.title),
            h(
              "span",
              { class: "small faint" },
              one.size ? `${one.size[0]} × ${one.size[1]}` : "any size",
            ),
          ),
        ),
    );
    const radios = [...cards.querySelectorAll("input")];
    form.own("zoo:net", {
      get: () => radios.find((radio) => radio.checked)?.value ?? "",
      set: (value) => radios.forEach((radio) => (radio.checked = radio.value === value)),
      node: cards,
      control: cards,
      needed: "Net",
    });
    form.own("text", {
      get: () => this.text,
      set: (value) => this.load(String(value)),
      node: this.desk,
      control: this.desk,
      needed: "the net's prototxt",
    });
    this.parts = {
      zoo: h("div", null, cards),
      run: runs.length
        ? h(
            "div",
            { class: "fields" },
            form.choice("run:net", {
              label: "Run",
              options: runs.map((run) => [
                run.id,
                run.name === run.id ? run.id : `${run.name} (${run.id})`,
              ]),
              wide: true,
              hint: "Its net, with the weights that are chosen below.",
            }),
          )
        : h("p", { class: "muted" }, "There is no run yet."),
      text: this.textPart(),
      file: h(
        "div",
        { class: "fields" },
        form.place("file:net", {
          label: "Prototxt",
          kind: "file",
          endings: [".prototxt", ".txt"],
          required: true,
        }),
      ),
    };
    this.node = h(
      "fieldset",
      { class: "group" },
      h("legend", null, "Net"),
      h(
        "div",
        { class: "stack" },
        form.segments("net_from", {
          label: "Taken from",
          options: [
            ["zoo", "Zoo"],
            ["run", "Earlier run"],
            ["text", "Own text"],
            ["file", "File"],
          ],
        }),
        ...Object.values(this.parts),
        h("div", { class: "row net-said" }, this.said, this.customize),
        this.hint,
        this.seen,
      ),
    );
    this.soon = later(350, () => this.look());
  }

  textPart() {
    const starts = h("select", { "aria-label": "Begin with a net" });
    const more = () => (this.data()?.task === "pairs" ? starters(this.data()) : []);
    const offer = () => {
      const own = more().map((one) => h("option", { value: one.title }, one.title));
      const known = this.zoo.map((one) => h("option", { value: one.name }, one.title));
      fill(starts, h("option", { value: "" }, "Begin with ..."), own, known);
    };
    offer();
    starts.addEventListener("focus", offer);
    starts.addEventListener("change", () => {
      const found =
        more().find((one) => one.title === starts.value) ??
        this.zoo.find((one) => one.name === starts.value);
      starts.value = "";
      if (found) this.load(found.text ?? "");
    });
    const load = h("input", {
      type: "file",
      accept: ".prototxt,.txt",
      class: "sr",
      "aria-label": "Open a prototxt of this computer",
      onchange: async () => {
        if (load.files?.[0]) this.load(await load.files[0].text());
        load.value = "";
      },
    });
    return h(
      "div",
      { class: "stack tight" },
      h(
        "div",
        { class: "row" },
        h("div", null, starts),
        h("label", { class: "btn" }, load, icon("file"), "Open a file"),
      ),
      h(
        "details",
        { class: "small muted more" },
        h("summary", null, "One text for training, validation and use"),
        h(
          "ul",
          { class: "words" },
          h(
            "li",
            null,
            "Layers that only training has: ",
            h("code", null, 'include { stage: "train" }'),
            "; only validation: ",
            h("code", null, '"val"'),
            "; only use: ",
            h("code", null, '"deploy"'),
            ".",
          ),
          h("li", null, "Leave source and backend of data layers out: the dataset fills them in."),
          h("li", null, "An InnerProduct layer without num_output gets one output for each class."),
          h("li", null, "A net of train_val.prototxt, with phases, is as good."),
        ),
      ),
      this.desk,
    );
  }

  /** Make the editor, with what is to be in it. */
  async open() {
    const { Editor } = await import("../lib/editor.js");
    if (this.editor) return;
    this.editor = new Editor({
      label: "The net as prototxt",
      placeholder: 'layer { name: "data" type: "Data" ... }',
      changed: (text) => {
        this.text = text;
        this.said.textContent = "Checking ...";
        this.soon();
      },
    });
    this.editor.text = this.text;
    fill(this.desk, this.editor.node);
  }

  /** @param {string} text */
  load(text) {
    this.text = text;
    if (this.editor) this.editor.text = text;
    this.form.changed();
  }

  /** Put the net that is chosen into the editor. */
  async edit() {
    const from = this.form.get("net_from");
    try {
      const text =
        from === "zoo"
          ? (this.zoo.find((one) => one.name === this.form.get("zoo:net"))?.text ?? "")
          : await textOf(this.form.get("run:net"));
      this.form.set({ net_from: "text" });
      this.load(text);
      await this.open();
      this.editor?.area.focus();
    } catch (error) {
      fill(this.hint, notice("warn", problem(error)));
    }
  }

  /** Take the net of a form that is filled in again. @param {Record<string, any>} form */
  take(form) {
    if (form.net_from === "text") this.load(form.text ?? "");
  }

  /** @param {Record<string, any>} values */
  changed(values) {
    const from = this.form.get("net_from") || "zoo";
    for (const [name, part] of Object.entries(this.parts)) part.hidden = name !== from;
    this.suit();
    if (from === "text" && !this.editor) this.open();
    this.customize.hidden = from !== "zoo" && from !== "run";
    this.fits(from);
    const key = JSON.stringify([from, values.net, from === "text" && this.text, values.data]);
    if (key === this.asked) return;
    this.asked = key;
    this.soon();
  }

  /** Until one is chosen: the net of the zoo that was made for pictures like these. */
  suit() {
    const field = this.form.fields.get("zoo:net");
    const facts = this.data();
    if (!field || field.get() || !facts) return;
    const side = Math.min(...facts.size);
    const nets = this.zoo.filter((one) => one.classifies);
    const fits = nets
      .filter((one) => one.size && one.size[0] <= side)
      .sort((a, b) => (b.size?.[0] ?? 0) - (a.size?.[0] ?? 0));
    field.set((fits[0] ?? nets.find((one) => one.name === "lenet") ?? nets[0])?.name);
    this.form.soon();
  }

  /** Say where a net of the zoo was made for pictures of another size. @param {string} from */
  fits(from) {
    const one = from === "zoo" && this.zoo.find((net) => net.name === this.form.get("zoo:net"));
    const facts = this.data();
    if (one && facts?.task === "pairs") {
      const own = () => this.form.set({ net_from: "text" });
      fill(
        this.hint,
        notice(
          "",
          "Nets of the zoo answer with classes. Pairs want a net that answers with pictures: one of your own, or a small one to begin with.",
          [
            h(
              "button",
              { class: "btn small", type: "button", onclick: own },
              icon("edit"),
              "Own text",
            ),
          ],
        ),
      );
      return;
    }
    const size = one && one.size;
    if (!size || !facts || (size[0] === facts.size[0] && size[1] === facts.size[1])) {
      fill(this.hint);
      return;
    }
    const smaller = facts.size[0] < size[0] || facts.size[1] < size[1];
    fill(
      this.hint,
      h(
        "p",
        { class: "small muted" },
        `${one.title} was made for pictures of ${size.join(" × ")}; this dataset has ${facts.size.join(" × ")}. `,
        smaller
          ? "Smaller ones may not get through it; the plan says so."
          : `A crop of ${size[0]} would give it its own size.`,
      ),
    );
  }

  async look() {
    const key = this.asked;
    const from = this.form.get("net_from") || "zoo";
    this.view?.busy(true);
    try {
      const found = await this.describe(from);
      if (key !== this.asked) return;
      if (!found) {
        this.said.textContent = "";
        this.seen.hidden = true;
        return;
      }
      if (from === "text") this.editor?.mark(found.errors);
      if (found.errors.length) {
        this.said.textContent =
          from === "text"
            ? found.errors.length === 1
              ? "One thing is wrong with it."
              : `${found.errors.length} things are wrong with it.`
            : found.errors[0].text;
        return;
      }
      this.seen.hidden = false;
      const layers = found.layers.filter((/** @type {any} */ layer) => layer.type !== "Split");
      this.said.textContent = `${inWords(found.totals, layers.length)}.`;
      this.described = found;
      await this.draw();
    } catch (error) {
      if (key !== this.asked) return;
      this.said.textContent = error instanceof ApiError ? error.message : String(error);
    } finally {
      if (key === this.asked) this.view?.busy(false);
    }
  }

  async draw() {
    if (!this.seen.open || !this.described) return;
    const { NetView } = await import("../lib/netview.js");
    if (!this.view) {
      this.view = new NetView();
      this.seen.append(this.view.node);
    }
    this.view.set(this.described);
  }

  /** @param {string} from @returns {Promise<any>} */
  async describe(from) {
    if (from === "run") {
      const id = this.form.get("run:net");
      return id ? get(`net/${path(id)}`) : null;
    }
    if (from === "file") return null;
    const text =
      from === "text"
        ? this.text
        : (this.zoo.find((one) => one.name === this.form.get("zoo:net"))?.text ?? "");
    if (!text.trim()) return null;
    const data = this.form.get("data") || undefined;
    return post("ask/check", { text, data });
  }
}

/** The prototxt that a run was given. @param {string} id */
async function textOf(id) {
  for (const name of ["original.prototxt", "train_val.prototxt", "net.prototxt"]) {
    const found = await fetch(apiUrl(`file/${path(id)}/${name}`));
    if (found.ok) return found.text();
  }
  throw new Error("This run has no prototxt of its net.");
}
