// Records of an evaluation, asked for by choice, in a grid; a click shows one large.

import { get, path } from "../lib/api.js";
import { fill, h } from "../lib/dom.js";
import { num, percent } from "../lib/format.js";
import { grid, look, pager } from "../lib/pictures.js";
import { empty, failed, loading } from "../lib/states.js";

/** @typedef {import("../lib/pictures.js").Item} Item */
/** @typedef {import("../lib/types.js").Job} Job */

const COUNT = 48;

export class Items {
  /** @param {Job} job @param {{none?: string, offset?: (offset: number) => void}} [options] */
  constructor(job, options = {}) {
    this.job = job;
    this.options = options;
    this.task = job.evaluation?.task ?? "";
    this.node = h("div", { class: "stack items" });
    this.asked = "";
  }

  /** @param {Record<string, any>} choice @param {number} [offset] */
  async show(choice, offset = 0) {
    const key = JSON.stringify([choice, offset]);
    this.asked = key;
    if (!this.node.childElementCount) fill(this.node, loading(4));
    this.node.classList.add("dim");
    try {
      const found = await get(`evaluation/${path(this.job.id)}/items`, {
        count: COUNT,
        thumb: 112,
        ...choice,
        offset,
      });
      if (key !== this.asked) return;
      this.draw(found, choice, offset);
    } catch (error) {
      if (key !== this.asked) return;
      fill(
        this.node,
        failed(error, () => this.show(choice, offset)),
      );
    } finally {
      if (key === this.asked) this.node.classList.remove("dim");
    }
  }

  /** @param {{total: number, items: Item[]}} found @param {Record<string, any>} choice @param {number} offset */
  draw(found, choice, offset) {
    if (!found.total) {
      fill(
        this.node,
        empty({ icon: "image", title: "No such record", text: this.options.none ?? "" }),
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
          this.options.offset?.(to);
          this.show(choice, to);
        },
      });
    fill(
      this.node,
      pages(),
      grid(found.items, {
        label: "Records",
        caption: (item) => caption(item, this.task),
        wrong: (item) => wrong(item),
        open: (at) => this.look(found.items, at),
      }),
      found.total > COUNT && pages(true),
    );
  }

  /** @param {Item[]} items @param {number} at */
  look(items, at) {
    look({
      count: items.length,
      at,
      task: this.task,
      load: async (place) => {
        const { index } = items[place];
        const found = await get(`evaluation/${path(this.job.id)}/items`, {
          indices: index,
          thumb: 720,
        });
        return { ...items[place], ...found.items[0] };
      },
      facts,
    });
  }
}

/** @param {Item} item */
const wrong = (item) =>
  item.predicted !== undefined &&
  item.truth !== null &&
  item.truth !== undefined &&
  item.truth !== item.predicted;

/** @param {Item} item @param {string} task @returns {import("../lib/dom.js").Child[]} */
export function caption(item, task) {
  if (task === "pairs") return [h("b", null, `${num(item.psnr, 3)} dB`)];
  if (task === "segmentation") return [h("b", null, percent(item.accuracy, 1))];
  if (task === "detection") {
    const count = item.boxes?.length ?? 0;
    return [
      h("b", null, `${count} found`),
      h("span", { class: "faint" }, ` of ${item.objects?.length ?? 0}`),
    ];
  }
  const bad = wrong(item);
  return [
    h("span", { class: "clip" }, bad ? `${item.truth} → ` : "", h("b", null, item.predicted)),
    h("span", { class: "faint" }, percent(item.score, 0)),
  ];
}

/** @param {Item} item @returns {[string, import("../lib/dom.js").Child][]} */
function facts(item) {
  const rows = /** @type {[string, import("../lib/dom.js").Child|undefined|false][]} */ ([
    ["Name", h("span", { class: "wrap" }, item.name)],
    ["Class", item.truth ?? undefined],
    ["Taken for", item.predicted],
    ["Loss", typeof item.loss === "number" && num(item.loss)],
    ["PSNR", typeof item.psnr === "number" && `${num(item.psnr)} dB`],
    ["Pixels right", typeof item.accuracy === "number" && percent(item.accuracy, 2)],
    ["Size", item.size && item.size.join(" × ")],
  ]);
  return /** @type {any} */ (rows.filter(([, value]) => value));
}
