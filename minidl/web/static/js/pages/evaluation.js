// An evaluation: its figures, the confusion matrix with the pictures behind each cell, the classes,
// the errors, the surest of each class.

import { fileUrl, jobUrl } from "../lib/api.js";
import { byId, fill, h } from "../lib/dom.js";
import { num, percent, whole } from "../lib/format.js";
import { icon } from "../lib/icons.js";
import { crumb, JobHead } from "../lib/jobhead.js";
import { failed, notice } from "../lib/states.js";
import { choices } from "../lib/store.js";
import { Tabs } from "../lib/tabs.js";

/** @typedef {import("../lib/types.js").Job} Job */

const view = choices("evaluation", { tab: "" }, ["tab"]);
const id = document.body.dataset.id ?? "";

async function start() {
  try {
    await JobHead.open(byId("head"), id, {
      crumbs: (job) => [crumb(job.parents?.run)],
      facts: (job) => facts(job),
      actions: (job) =>
        job.state === "done"
          ? [
              h(
                "a",
                { class: "btn", href: fileUrl(job.id, "predictions.csv", true) },
                icon("download"),
                "CSV",
              ),
            ]
          : [],
      menu: (job) => [
        {
          text: "Evaluate again",
          icon: "copy",
          href: `/new/evaluation?run=${encodeURIComponent(job.parents?.run ?? "")}`,
        },
        ...(job.files.some((file) => file.name === "confusion.csv")
          ? [
              {
                text: "Confusion matrix as CSV",
                icon: "download",
                href: fileUrl(job.id, "confusion.csv", true),
                download: true,
              },
            ]
          : []),
        {
          text: "Figures as JSON",
          icon: "download",
          href: fileUrl(job.id, "evaluation.json", true),
          download: true,
        },
        null,
      ],
      ready: draw,
    });
  } catch (error) {
    fill(byId("content"), failed(error, start));
    return;
  }
  if (byId("content").querySelector(".skeleton")) fill(byId("content"));
}

/** @param {Job} job */
function facts(job) {
  const found = job.evaluation;
  const run = job.parents?.run;
  return [
    run && h("span", { class: "muted" }, "of ", h("a", { href: jobUrl(run) }, run)),
    found && h("span", { class: "muted" }, `at iteration ${whole(found.iter)}`),
    found &&
      h(
        "span",
        { class: "muted" },
        `on ${whole(found.records)} records of ${found.split || found.origin?.path || "its pictures"}`,
      ),
  ];
}

/** @param {Job} job */
function draw(job) {
  const found = job.evaluation;
  if (!found) {
    fill(byId("content"), notice("warn", "This evaluation has no evaluation.json."));
    return;
  }
  const classes = found.task === "classification";
  const labelled = found.labelled ?? (found.confusion ? found.records : 0);
  const matrix = (classes || found.task === "segmentation") && found.confusion && labelled > 0;
  const tabs = [
    matrix && {
      id: "confusion",
      label: "Confusion",
      show: async (/** @type {HTMLElement} */ panel) =>
        (await import("./evaluation_confusion.js")).show(panel, job),
    },
    found.per_class && {
      id: "classes",
      label: "Classes",
      show: async (/** @type {HTMLElement} */ panel) =>
        (await import("./evaluation_classes.js")).show(panel, job),
    },
    {
      id: "records",
      label: classes && labelled ? "Errors" : "Records",
      show: async (/** @type {HTMLElement} */ panel) =>
        (await import("./evaluation_records.js")).show(panel, job),
    },
    classes && {
      id: "best",
      label: "Best of each class",
      show: async (/** @type {HTMLElement} */ panel) =>
        (await import("./evaluation_best.js")).show(panel, job),
    },
  ].filter(Boolean);
  const place = h("div");
  fill(
    byId("content"),
    h("section", { class: "card run-state", "aria-label": "Figures" }, stats(found)),
    found.left_out?.length > 0 &&
      notice(
        "warn",
        `${whole(found.left_out.length)} pictures could not be read and were left out.`,
      ),
    classes &&
      !labelled &&
      notice("", "The pictures have no classes of their own, so nothing could be compared."),
    place,
  );
  const shown = new Tabs(place, /** @type {any} */ (tabs), {
    label: "Parts of the evaluation",
    chosen: view.get("tab") || new URLSearchParams(location.search).get("tab") || "",
    onchange: (tab) => view.set("tab", tab, true),
  });
  view.on(() => view.get("tab") && shown.choose(view.get("tab"), false));
}

/** @param {any} found */
function stats(found) {
  const wrong =
    found.top1 !== null && found.top1 !== undefined
      ? Math.round((1 - found.top1) * (found.labelled ?? found.records))
      : null;
  const rows = /** @type {[string, string|null, string][]} */ ([
    ["Top-1", share(found.top1), "right at once"],
    ["Top-5", share(found.top5), "among the five best"],
    ["Wrong", wrong === null ? null : whole(wrong), `of ${whole(found.labelled ?? found.records)}`],
    ["Pixels right", share(found.accuracy), ""],
    ["Mean IoU", share(found.miou), "over the classes"],
    ["mAP", share(found.map), "mean average precision"],
    ["PSNR", typeof found.psnr === "number" ? `${num(found.psnr)} dB` : null, "mean"],
    [
      "PSNR of the input",
      typeof found.input_psnr === "number" ? `${num(found.input_psnr)} dB` : null,
      "before the net",
    ],
    ["Loss", typeof found.loss === "number" ? num(found.loss) : null, "mean"],
    ["Records", whole(found.records), ""],
  ]);
  return h(
    "dl",
    { class: "stats" },
    rows
      .filter(([, value]) => value !== null)
      .map(([name, value, more]) =>
        h(
          "div",
          { class: "stat" },
          h("dt", null, name),
          h("dd", null, value),
          h("dd", { class: "more" }, h("small", null, more || "\u00a0")),
        ),
      ),
  );
}

/** @param {number|null|undefined} value */
const share = (value) => (typeof value === "number" ? percent(value, 2) : null);

start();
