// The records of an evaluation by how far off they are: the worst, the surest errors, the unsure.

import { fill, h } from "../lib/dom.js";
import { choices } from "../lib/store.js";
import { Items } from "./evaluation_items.js";

/** @typedef {import("../lib/types.js").Job} Job */

/** @type {Record<string, [string, Record<string, any>]>} */
const ORDERS = {
  loss: ["Worst by loss", { sort: "loss" }],
  errors: ["Surest errors", { sort: "confident", wrong: 1 }],
  unsure: ["Least sure", { sort: "unsure" }],
  all: ["In order", {}],
};

/** @param {HTMLElement} panel @param {Job} job */
export function show(panel, job) {
  const found = job.evaluation;
  const classes = found.task === "classification";
  const labelled = found.labelled ?? found.records;
  const known = Object.keys(ORDERS).filter((name) => {
    if (name === "errors") return classes && labelled;
    if (name === "unsure") return classes;
    if (name === "loss") return classes ? labelled : found.task === "segmentation";
    return true;
  });
  const view = choices("evaluation-records", { by: known[0], from: 0 }, ["by", "from"]);
  if (!known.includes(view.get("by"))) view.set("by", known[0]);
  const items = new Items(job, {
    none: "None is wrong: every record was answered rightly.",
    offset: (offset) => view.set("from", offset, true),
  });
  const radios = known.map((name) =>
    h(
      "label",
      null,
      h("input", {
        type: "radio",
        name: "records-by",
        value: name,
        checked: name === view.get("by"),
        onchange: () => {
          view.set("from", 0);
          view.set("by", name, true);
          draw();
        },
      }),
      h("span", null, ORDERS[name][0]),
    ),
  );
  const draw = () => items.show(ORDERS[view.get("by")][1], view.get("from"));
  view.on(draw);
  fill(
    panel,
    h(
      "div",
      { class: "stack" },
      known.length > 1 &&
        h(
          "div",
          { class: "scroll-x" },
          h("div", { class: "segmented", role: "radiogroup", "aria-label": "Order" }, radios),
        ),
      items.node,
    ),
  );
  draw();
}
