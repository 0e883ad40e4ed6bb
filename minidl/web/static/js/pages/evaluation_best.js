// The records that each class was given to most surely, a row for each class.

import { get, path } from "../lib/api.js";
import { fill, h } from "../lib/dom.js";
import { percent } from "../lib/format.js";
import { grid, pager } from "../lib/pictures.js";
import { failed, loading } from "../lib/states.js";
import { choices } from "../lib/store.js";
import { Items } from "./evaluation_items.js";

/** @typedef {import("../lib/types.js").Job} Job */
/** @typedef {import("../lib/pictures.js").Item} Item */

const CLASSES = 10; // on a page

/** @param {HTMLElement} panel @param {Job} job */
export function show(panel, job) {
  const view = choices("evaluation-best", { each: 9, first: 0 }, ["each", "first"]);
  const place = h("div", { class: "stack loose" });
  const each = h(
    "select",
    {
      "aria-label": "Of each class",
      onchange: () => {
        view.set("first", 0);
        view.set("each", Number(each.value), true);
        draw();
      },
    },
    [4, 9, 16, 25].map((count) => h("option", { value: String(count) }, `${count} of each`)),
  );
  each.value = String(view.get("each"));
  const items = new Items(job);
  fill(
    panel,
    h(
      "div",
      { class: "stack" },
      h(
        "div",
        { class: "toolbar" },
        h(
          "p",
          { class: "muted grow" },
          "The records that each class was given to most surely. What is framed in red is of another class.",
        ),
        each,
      ),
      place,
    ),
  );

  async function draw() {
    fill(place, loading(5));
    const count = CLASSES * view.get("each");
    try {
      const found = await get(`evaluation/${path(job.id)}/items`, {
        best_per_class: view.get("each"),
        count,
        offset: view.get("first"),
        thumb: 96,
      });
      /** @type {Map<string, Item[]>} */
      const rows = new Map();
      for (const item of found.items) {
        const row = rows.get(item.predicted) ?? [];
        row.push(item);
        rows.set(item.predicted, row);
      }
      fill(
        place,
        [...rows].map(([label, of]) =>
          h(
            "section",
            { class: "stack tight" },
            h("h2", { class: "wrap" }, label),
            grid(of, {
              label: `Surest of ${label}`,
              wrong: (item) =>
                item.truth !== null && item.truth !== undefined && item.truth !== label,
              caption: (item) => [
                h("span", { class: "clip" }, item.truth === label ? "" : (item.truth ?? "")),
                h("span", { class: "faint" }, percent(item.score, 1)),
              ],
              open: (at) => items.look(of, at),
            }),
          ),
        ),
        found.total > count &&
          pager({
            total: found.total,
            offset: view.get("first"),
            count,
            go: (to) => {
              view.set("first", to, true);
              draw();
            },
          }),
      );
    } catch (error) {
      fill(place, failed(error, draw));
    }
  }
  view.on(draw);
  draw();
}
