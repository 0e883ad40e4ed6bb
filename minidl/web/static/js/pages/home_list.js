// A list of jobs of some kinds: its table, what filters and groups it, what is done to chosen rows.

import { compareUrl } from "../lib/api.js";
import { popover } from "../lib/dialog.js";
import { fill, h, later } from "../lib/dom.js";
import { icon } from "../lib/icons.js";
import { act, busy, stateWord } from "../lib/job.js";
import { empty } from "../lib/states.js";
import { choices } from "../lib/store.js";
import { save } from "../lib/save.js";
import { Table } from "../lib/table.js";
import { COLUMNS, figureColumns } from "./home_columns.js";

/** @typedef {import("../lib/types.js").Summary} Summary */
/** @typedef {import("../lib/types.js").State} State */
/** @typedef {import("./home_columns.js").Column} Column */
/** @typedef {{id: "runs"|"datasets"|"evaluations", label: string, kinds: string[],
 *             figures: boolean, columns: string[], nothing: Parameters<typeof empty>[0]}} List */

const SEARCH = "Filter by name, group, tag";
const ALWAYS = ["name", "group", "id"]; // columns of every list
/** @type {State[]} */
const STATES = [
  "running",
  "waiting",
  "paused",
  "done",
  "stopped",
  "aborted",
  "failed",
  "interrupted",
];
const link = (/** @type {string} */ href, /** @type {string} */ text) =>
  h("a", { class: "btn primary", href }, text);

/** @type {List[]} */
export const LISTS = [
  {
    id: "runs",
    label: "Runs",
    kinds: ["train"],
    figures: true,
    columns: ["state", "spark", "headline", "done", "elapsed", "created"],
    nothing: {
      icon: "chart",
      title: "No runs yet",
      text: "Runs started here or in a terminal appear by themselves.",
      actions: [link("/new/run", "New run")],
    },
  },
  {
    id: "datasets",
    label: "Datasets",
    kinds: ["dataset"],
    figures: false,
    columns: ["state", "done", "elapsed", "created"],
    nothing: {
      icon: "image",
      title: "No datasets yet",
      text: "A dataset is made from a folder of pictures, from lists, or from an existing store.",
      actions: [link("/new/dataset", "New dataset")],
    },
  },
  {
    id: "evaluations",
    label: "Evaluations",
    kinds: ["evaluate", "show"],
    figures: true,
    columns: ["state", "of", "headline", "elapsed", "created"],
    nothing: {
      icon: "check",
      title: "No evaluations yet",
      text: "Open a run and evaluate one of its snapshots.",
    },
  },
];

/** What was chosen, in the address and in this browser. */
export const view = choices(
  "home",
  {
    tab: "runs",
    q: "",
    state: "",
    sort: "-created",
    grouped: true,
    folded: /** @type {string[]} */ ([]),
    runs: LISTS[0].columns,
    datasets: LISTS[1].columns,
    evaluations: LISTS[2].columns,
  },
  ["tab", "q", "state", "sort", "grouped"],
  ["tab", "q", "state"],
);

export class JobList {
  /** @param {List} list @param {Map<string, Summary>} jobs all of them @param {HTMLElement} panel */
  constructor(list, jobs, panel) {
    this.list = list;
    this.jobs = jobs;
    /** @type {Table<Summary>} */
    this.table = new Table({
      label: list.label,
      key: (job) => job.id,
      name: (job) => job.name,
      columns: this.columns(),
      shown: view.get(list.id),
      sort: view.get("sort"),
      onsort: (sort) => view.set("sort", sort),
      search: (job) => `${job.name} ${job.id} ${job.group} ${job.tags.join(" ")} ${job.state}`,
      folded: view.get("folded"),
      onfold: (folded) => view.set("folded", folded),
      pick: (keys) => this.drawChosen(keys),
      empty: () => this.nothing(),
    });
    this.chosen = h("div", {
      class: "selection",
      role: "toolbar",
      "aria-label": "Chosen jobs",
      hidden: true,
    });
    fill(panel, this.toolbar(), this.table.node, this.chosen);
    this.table.group = this.grouping();
    this.refilter(false);
    this.table.set([...jobs.values()].filter((job) => this.has(job)));
  }

  /** @param {Summary} job */
  has(job) {
    return this.list.kinds.includes(job.kind);
  }

  /** @param {Summary} job new or changed */
  put(job) {
    if (!this.has(job)) return;
    this.table.group = this.grouping();
    this.table.put(job);
  }

  columns() {
    const { columns, figures } = this.list;
    const own = COLUMNS.filter(({ id }) => ALWAYS.includes(id) || columns.includes(id));
    return figures ? [...own, ...figureColumns(this.jobs.values())] : own;
  }

  /** How rows are put together: by group, where there are groups and they are wanted. */
  grouping() {
    const any = [...this.jobs.values()].some((job) => job.group);
    return view.get("grouped") && any ? (/** @type {Summary} */ job) => job.group : undefined;
  }

  // ------------------------------------------------------------------ what filters and groups

  toolbar() {
    const { list, table } = this;
    this.words = h("input", {
      type: "search",
      placeholder: SEARCH,
      "aria-label": `Filter ${list.label.toLowerCase()}`,
    });
    const typed = later(60, () => this.filter(this.words?.value ?? "", view.get("state")));
    this.words.addEventListener("input", typed);
    const options = ["", ...STATES].map((state) =>
      h("option", { value: state }, state ? stateWord(/** @type {State} */ (state)) : "All states"),
    );
    this.state = h(
      "select",
      {
        "aria-label": "State",
        onchange: () => this.filter(view.get("q"), this.state?.value ?? ""),
      },
      options,
    );
    const grouped = h(
      "button",
      {
        class: "btn",
        type: "button",
        "aria-pressed": String(view.get("grouped")),
        onclick: () => {
          view.set("grouped", !view.get("grouped"));
          grouped.setAttribute("aria-pressed", String(view.get("grouped")));
          table.groupBy(this.grouping());
        },
      },
      icon("group"),
      "Groups",
    );
    const chooser = h(
      "button",
      {
        class: "btn",
        type: "button",
        "aria-haspopup": "dialog",
        onclick: () => this.chooseColumns(chooser),
      },
      icon("columns"),
      "Columns",
    );
    const csv = h(
      "button",
      {
        class: "btn icon quiet",
        type: "button",
        "aria-label": "Save the table as CSV",
        title: "Save as CSV",
        onclick: () => save(`${list.id}.csv`, table.csv()),
      },
      icon("download"),
    );
    return h(
      "div",
      { class: "toolbar" },
      h("label", { class: "search" }, icon("search"), this.words),
      this.state,
      h("span", { class: "grow" }),
      grouped,
      chooser,
      csv,
    );
  }

  /** @param {string} words @param {string} state */
  filter(words, state) {
    view.set("q", words);
    view.set("state", state);
    this.refilter();
  }

  /** Show the rows that the choices let through. @param {boolean} [draw] */
  refilter(draw = true) {
    const [words, state] = [view.get("q"), view.get("state")];
    if (this.words && this.words.value !== words) this.words.value = words;
    if (this.state) this.state.value = state;
    this.table.filter(words, (job) => !state || job.state === state, draw);
  }

  nothing() {
    if (!view.get("q") && !view.get("state")) return empty(this.list.nothing);
    const all = h(
      "button",
      { class: "btn", type: "button", onclick: () => this.filter("", "") },
      "Show all",
    );
    return empty({ icon: "search", title: "Nothing fits the filter", actions: [all] });
  }

  /** @param {HTMLElement} button */
  chooseColumns(button) {
    const { id } = this.list;
    const columns = this.columns();
    const flip = (/** @type {string} */ column, /** @type {boolean} */ on) => {
      const ids = columns.map((one) => one.id);
      const shown = ids.filter((one) => (one === column ? on : view.get(id).includes(one)));
      view.set(id, shown);
      this.table.show(shown, columns);
    };
    const boxes = (/** @type {string} */ title, /** @type {Column[]} */ some) =>
      some.length > 0 &&
      h(
        "fieldset",
        { class: "stack tight" },
        h("legend", { class: "eyebrow" }, title),
        some.map((column) => {
          const box = h("input", {
            type: "checkbox",
            checked: view.get(id).includes(column.id),
            onchange: () => flip(column.id, box.checked),
          });
          return h("label", { class: "check" }, box, column.label);
        }),
      );
    const own = columns.filter((column) => !column.first && COLUMNS.includes(column));
    const figures = columns.filter((column) => !COLUMNS.includes(column));
    const content = [boxes("Columns", own), boxes("Figures", figures)];
    popover(button, h("div", { class: "stack" }, content), { label: "Columns" });
  }

  // ------------------------------------------------------------------ chosen rows

  /** @param {Set<string>} keys */
  drawChosen(keys) {
    const jobs = [...keys].map((key) => this.jobs.get(key)).filter((job) => job !== undefined);
    const working = jobs.filter(busy);
    const done = () => this.table.forget(true);
    const button = (
      /** @type {string} */ text,
      /** @type {string} */ drawing,
      /** @type {() => Promise<boolean>} */ work,
      kind = "",
    ) => {
      const go = async () => (await work()) && done();
      const names = `btn small ${kind}`;
      return h("button", { class: names, type: "button", onclick: go }, icon(drawing), text);
    };
    const compare = compareUrl(jobs.map((job) => job.id));
    const none = { class: "btn quiet icon small", type: "button", "aria-label": "Choose none" };
    this.chosen.hidden = !jobs.length;
    fill(
      this.chosen,
      h("span", null, h("b", null, String(jobs.length)), " chosen"),
      this.list.id === "runs" &&
        h("a", { class: "btn small primary", href: compare }, icon("chart"), "Compare"),
      button("Group", "group", () => act.regroup(jobs)),
      working.length > 0 && button("Abort", "ban", () => act.abort(...working), "danger"),
      button("Delete", "trash", () => act.trash(jobs), "danger"),
      h("button", { ...none, onclick: done }, icon("x")),
    );
  }
}
