// The columns of the tables of jobs.

import { jobUrl } from "../lib/api.js";
import { h } from "../lib/dom.js";
import { ago, duration, figure, isAccuracy, whole } from "../lib/format.js";
import { about, alarms, badge, headline, sparkline, stateWord } from "../lib/job.js";

/** @typedef {import("../lib/types.js").Summary} Summary */
/** @typedef {import("../lib/table.js").Column<Summary>} Column */

/** @type {Column[]} */
export const COLUMNS = [
  { id: "name", label: "Name", first: true, value: (job) => job.name, view: (job) => name(job) },
  {
    id: "state",
    label: "State",
    value: (job) => stateWord(job.state),
    view: (job) => badge(job.state),
  },
  {
    id: "of",
    label: "Of",
    value: (job) => job.parents?.run ?? job.parents?.data,
    view: (job) => parent(job),
  },
  {
    id: "spark",
    label: "Curve",
    sorts: false,
    title: "The first figure over time",
    value: () => null,
    view: (job) => sparkline(job.spark),
  },
  {
    id: "headline",
    label: "Result",
    num: true,
    title: "The last accuracy, or loss",
    value: (job) => headline(job)?.[1],
    view: (job) => result(job),
  },
  {
    id: "done",
    label: "Progress",
    num: true,
    value: (job) => (job.total ? job.done / job.total : null),
    view: (job) => (job.state === "done" ? `${whole(job.done)} ${job.unit}` : about(job)),
  },
  { id: "group", label: "Group", value: (job) => job.group },
  {
    id: "elapsed",
    label: "Took",
    num: true,
    value: (job) => job.elapsed,
    view: (job) => (job.elapsed ? duration(job.elapsed) : ""),
  },
  {
    id: "created",
    label: "Created",
    num: true,
    value: (job) => job.created,
    view: (job) => ago(job.created),
  },
  {
    id: "id",
    label: "Folder",
    value: (job) => job.id,
    view: (job) => h("code", { class: "wrap" }, job.id),
  },
];

/** @param {Summary} job */
function name(job) {
  const marks = [
    alarms(job),
    job.adopted &&
      h("span", { class: "tag", title: "A run of another program, read from its log" }, "adopted"),
    ...job.tags.map((tag) => h("span", { class: "tag" }, tag)),
  ].filter(Boolean);
  return h(
    "div",
    { class: "name" },
    h("a", { class: "wrap", href: jobUrl(job.id) }, job.name),
    marks.length > 0 && h("span", { class: "row" }, marks),
  );
}

/** @param {Summary} job */
function parent(job) {
  const id = job.parents?.run ?? job.parents?.data;
  return id ? h("a", { href: jobUrl(id) }, id) : "";
}

/** @param {Summary} job */
function result(job) {
  const found = headline(job);
  if (!found) return "";
  const [of, value] = found;
  const word = h("span", { class: "faint small" }, of.replace(/^test /, ""));
  return h("span", { title: of }, figure(of, value), " ", word);
}

/** Columns of every figure that some jobs have: the last and the best. @param {Iterable<Summary>} jobs @returns {Column[]} */
export function figureColumns(jobs) {
  const names = new Set([...jobs].flatMap((job) => Object.keys(job.metrics ?? {})));
  return [...names].sort().flatMap((metric) =>
    /** @type {const} */ (["last", "best"]).map((which) => ({
      id: `${which} ${metric}`,
      label: `${metric}, ${which}`,
      num: true,
      value: (/** @type {Summary} */ job) => pick(job, metric, which),
      view: (/** @type {Summary} */ job) => {
        const value = pick(job, metric, which);
        return value === null ? "" : figure(metric, value);
      },
    })),
  );
}

/** @param {Summary} job @param {string} metric @param {"last"|"best"} which */
function pick(job, metric, which) {
  const found = job.metrics?.[metric];
  if (!found) return null;
  if (which === "last") return found.last;
  return found.best ?? (isAccuracy(metric) ? found.max : found.min) ?? null;
}
