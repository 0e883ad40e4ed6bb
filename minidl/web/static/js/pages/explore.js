// The pictures of a data set, a page at a time; part, class and page stand in the address.

import { get, jobUrl, path } from "../lib/api.js";
import { byId, fill, h, later } from "../lib/dom.js";
import { whole } from "../lib/format.js";
import { grid, look, pager } from "../lib/pictures.js";
import { empty, failed, loading, notice } from "../lib/states.js";
import { choices } from "../lib/store.js";

/** @typedef {import("../lib/types.js").Job} Job */
/** @typedef {import("../lib/pictures.js").Item} Item */

const COUNT = 60;
const AS_LIST = 300; // classes in a select; more are typed
const id = document.body.dataset.id ?? "";
const view = choices("explore", { split: "", label: "", offset: 0 }, ["split", "label", "offset"]);

async function start() {
  // a choice of another data set is none of this one
  const asked = new URLSearchParams(location.search);
  for (const name of /** @type {const} */ (["split", "label"]))
    if (!asked.has(name)) view.set(name, "");
  if (!asked.has("offset")) view.set("offset", 0);
  try {
    const job = await get(`job/${path(id)}`);
    new Explorer(job).draw();
  } catch (error) {
    fill(byId("content"), failed(error, start));
  }
}

class Explorer {
  /** @param {Job} job */
  constructor(job) {
    this.job = job;
    const facts = job.dataset;
    this.facts = facts;
    this.splits = Object.keys(facts?.splits ?? {});
    this.place = h("div", { class: "stack" });
    this.asked = 0;
    document.title = `${job.name}: pictures · minidl`;
    fill(
      byId("head"),
      h(
        "nav",
        { "aria-label": "Where this is" },
        h(
          "ol",
          { class: "crumbs" },
          h("li", null, h("a", { href: "/" }, "Jobs")),
          h("li", null, h("a", { href: jobUrl(job.id) }, job.name)),
          h("li", null, "Pictures"),
        ),
      ),
      h(
        "div",
        { class: "page-head" },
        h("div", null, h("h1", { class: "wrap" }, `Pictures of ${job.name}`)),
      ),
    );
    fill(
      byId("content"),
      facts
        ? [h("div", { class: "toolbar explore-bar" }, this.parts(), this.classes()), this.place]
        : notice(
            "warn",
            job.state === "done"
              ? "This folder has no dataset.json; only datasets of this minidl can be looked through."
              : "This dataset is not done yet.",
          ),
    );
    view.on(() => this.draw());
  }

  get split() {
    const wanted = view.get("split");
    if (this.splits.includes(wanted)) return wanted;
    return this.splits.includes("val") ? "val" : (this.splits[0] ?? "train");
  }

  parts() {
    this.radios = this.splits.map((name) =>
      h("input", {
        type: "radio",
        name: "split",
        value: name,
        onchange: () => this.go({ split: name, offset: 0 }),
      }),
    );
    return h(
      "div",
      { class: "segmented", role: "radiogroup", "aria-label": "Part" },
      this.radios.map((radio) =>
        h(
          "label",
          null,
          radio,
          h("span", null, `${radio.value} ${whole(this.facts.splits[radio.value].records)}`),
        ),
      ),
    );
  }

  classes() {
    const labels = /** @type {string[]} */ (this.facts.labels ?? []);
    if (!labels.length) return null;
    if (labels.length <= AS_LIST) {
      const select = h(
        "select",
        {
          "aria-label": "Class",
          onchange: () => this.go({ label: select.value, offset: 0 }),
        },
        h("option", { value: "" }, "All classes"),
        labels.map((label, i) => h("option", { value: String(i) }, label)),
      );
      this.show = () => (select.value = view.get("label"));
      return select;
    }
    const input = h("input", {
      type: "search",
      list: "labels",
      placeholder: "All classes",
      "aria-label": "Class",
      oninput: later(300, () => {
        const at = labels.indexOf(input.value.trim());
        if (at >= 0 || !input.value) this.go({ label: at < 0 ? "" : String(at), offset: 0 });
      }),
    });
    this.show = () => (input.value = labels[Number(view.get("label") || NaN)] ?? "");
    return h(
      "div",
      { class: "search" },
      input,
      h(
        "datalist",
        { id: "labels" },
        labels.map((label) => h("option", { value: label })),
      ),
    );
  }

  /** @param {Partial<{split: string, label: string, offset: number}>} change */
  go(change) {
    const entries = Object.entries(change);
    entries.forEach(([name, value], i) =>
      view.set(/** @type {any} */ (name), value, i === entries.length - 1),
    );
    this.draw();
  }

  async draw() {
    if (!this.facts) return;
    for (const radio of this.radios ?? []) radio.checked = radio.value === this.split;
    this.show?.();
    const asked = ++this.asked;
    const offset = view.get("offset");
    const choice = { split: this.split, label: view.get("label") };
    if (!this.place.childElementCount) fill(this.place, loading(6));
    this.place.classList.add("dim");
    try {
      const found = await get(`browse/${path(id)}`, {
        ...choice,
        offset,
        count: COUNT,
        thumb: 112,
      });
      if (asked !== this.asked) return;
      this.fillPage(found, choice, offset);
    } catch (error) {
      if (asked === this.asked)
        fill(
          this.place,
          failed(error, () => this.draw()),
        );
    } finally {
      if (asked === this.asked) this.place.classList.remove("dim");
    }
  }

  /** @param {{total: number, items: Item[]}} found @param {{split: string, label: string}} choice @param {number} offset */
  fillPage(found, choice, offset) {
    if (!found.items.length) {
      fill(
        this.place,
        empty({
          icon: "image",
          title: "No pictures here",
          text: "This part has no record of this class.",
          actions: [
            h(
              "button",
              { class: "btn", type: "button", onclick: () => this.go({ label: "", offset: 0 }) },
              "All classes",
            ),
          ],
        }),
      );
      return;
    }
    const pages = (last = false) =>
      pager({
        total: found.total,
        offset,
        count: COUNT,
        last,
        go: (to) => {
          this.go({ offset: to });
          window.scrollTo({ top: 0 });
        },
      });
    fill(
      this.place,
      pages(),
      grid(found.items, {
        label: "Pictures",
        caption: (item) => [
          h("span", { class: "clip" }, item.class || nameOf(item.name)),
          h("span", { class: "faint" }, String(item.index)),
        ],
        open: (at) => this.look(found.items, at, choice.split),
      }),
      found.total > COUNT && pages(true),
    );
  }

  /** @param {Item[]} items @param {number} at @param {string} split */
  look(items, at, split) {
    look({
      count: items.length,
      at,
      task: this.facts.targets === "classes" ? "segmentation" : this.facts.task,
      load: async (place) => {
        const found = await get(`browse/${path(id)}`, {
          split,
          indices: items[place].index,
          thumb: 720,
        });
        return found.items[0];
      },
      facts: (item) =>
        /** @type {any} */ (
          [
            ["Name", item.name && h("span", { class: "wrap" }, item.name)],
            ["Class", item.class && `${item.class} (${item.label})`],
            ["Part", split],
            ["Size", item.size?.join(" × ")],
          ].filter(([, value]) => value)
        ),
    });
  }
}

/** @param {string} name */
const nameOf = (name) => name.split("/").pop() ?? "";

start();
