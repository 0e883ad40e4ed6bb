// Each class with how many of its records were found, as a table that sorts; as CSV, too.

import { fill, h } from "../lib/dom.js";
import { percent, whole } from "../lib/format.js";
import { icon } from "../lib/icons.js";
import { save } from "../lib/save.js";
import { Table } from "../lib/table.js";

/** @typedef {import("../lib/types.js").Job} Job */
/** @typedef {{label: string, records?: number, right?: number, precision?: number|null,
 *             recall?: number|null, f1?: number|null, iou?: number|null, ap?: number|null, objects?: number, found?: number}} Row */

/** @param {HTMLElement} panel @param {Job} job */
export function show(panel, job) {
  const found = job.evaluation;
  /** @type {Row[]} */
  const rows = found.per_class.map((/** @type {Row} */ row, /** @type {number} */ i) => ({
    ...row,
    ...(found.iou ? { iou: found.iou[i] } : {}),
  }));
  const unit = found.task === "segmentation" ? "Pixels" : "Records";
  const share = (
    /** @type {keyof Row} */ id,
    /** @type {string} */ label,
    /** @type {string} */ title,
  ) => ({
    id: String(id),
    label,
    title,
    num: true,
    value: (/** @type {Row} */ row) => /** @type {number|null} */ (row[id]),
    view: (/** @type {Row} */ row) => shareOf(/** @type {number|null} */ (row[id]), label),
  });
  const has = (/** @type {keyof Row} */ id) => rows.some((row) => typeof row[id] === "number");
  const count = (/** @type {keyof Row} */ id, /** @type {string} */ label) => ({
    id: String(id),
    label,
    num: true,
    value: (/** @type {Row} */ row) => /** @type {number|null} */ (row[id]),
    view: (/** @type {Row} */ row) => whole(/** @type {number|null} */ (row[id])),
  });
  const columns = [
    {
      id: "label",
      label: "Class",
      first: true,
      value: (/** @type {Row} */ row) => row.label,
      view: (/** @type {Row} */ row) =>
        found.task === "classification"
          ? h("a", { href: `?tab=confusion&truth=${encodeURIComponent(row.label)}` }, row.label)
          : row.label,
    },
    has("records") && {
      id: "records",
      label: unit,
      num: true,
      value: (/** @type {Row} */ row) => row.records,
      view: (/** @type {Row} */ row) => whole(row.records),
    },
    has("objects") && count("objects", "Objects"),
    has("found") && count("found", "Found"),
    has("right") && {
      id: "right",
      label: "Right",
      num: true,
      value: (/** @type {Row} */ row) => row.right,
      view: (/** @type {Row} */ row) => whole(row.right),
    },
    has("recall") && share("recall", "Recall", "Of its records, how many were found"),
    has("precision") && share("precision", "Precision", "Of what was taken for it, how much it is"),
    has("f1") && share("f1", "F1", "Harmonic mean of precision and recall"),
    has("iou") && share("iou", "IoU", "Intersection over union of its pixels"),
    has("ap") && share("ap", "AP", "Average precision"),
  ].filter(Boolean);
  const table = new Table({
    label: "Classes",
    key: (/** @type {Row} */ row) => row.label,
    columns: /** @type {any} */ (columns),
    sort: has("recall") ? "recall" : has("ap") ? "ap" : "label",
    search: (row) => row.label,
  });
  table.set(rows);
  const search = h("input", {
    type: "search",
    placeholder: "Find a class",
    "aria-label": "Find a class",
    oninput: () => table.filter(search.value),
  });
  fill(
    panel,
    h(
      "div",
      { class: "toolbar" },
      h("label", { class: "search" }, icon("search"), search),
      h(
        "button",
        {
          class: "btn",
          type: "button",
          onclick: () => save(`${job.id.replaceAll("/", "-")}-classes.csv`, table.csv()),
        },
        icon("download"),
        "CSV",
      ),
    ),
    table.node,
  );
}

/** @param {number|null|undefined} value @param {string} label */
function shareOf(value, label) {
  if (typeof value !== "number") return "–";
  return h(
    "span",
    { class: "share" },
    h("progress", { max: 1, value, "aria-label": label }),
    h("span", null, percent(value, 1)),
  );
}
