// All jobs: those at work as cards, below them runs, datasets and evaluations in tables, all live.

import { get, jobUrl, post } from "../lib/api.js";
import { popover, toast, toastError } from "../lib/dialog.js";
import { byId, fill, frame, h, later, say } from "../lib/dom.js";
import { ago, duration, figure, isAccuracy, percent, plural, whole } from "../lib/format.js";
import { icon } from "../lib/icons.js";
import {
  about,
  act,
  badge,
  bar,
  busy,
  commandBox,
  eta,
  headline,
  sparkline,
  speed,
  stateWord,
} from "../lib/job.js";
import { choices } from "../lib/store.js";
import { empty, failed } from "../lib/states.js";
import { listen } from "../lib/stream.js";
import { Table, save } from "../lib/table.js";
import { Tabs } from "../lib/tabs.js";

/** @typedef {import("../lib/types.js").Summary} Summary */
/** @typedef {import("../lib/table.js").Column<Summary>} Column */

/** A tab: what it lists, and how it stands. */
const LISTS = [
  {
    id: "runs",
    label: "Runs",
    kinds: ["train"],
    figures: true,
    columns: ["state", "spark", "headline", "done", "elapsed", "created"],
  },
  {
    id: "datasets",
    label: "Datasets",
    kinds: ["dataset"],
    figures: false,
    columns: ["state", "done", "elapsed", "created"],
  },
  {
    id: "evaluations",
    label: "Evaluations",
    kinds: ["evaluate", "show"],
    figures: true,
    columns: ["state", "of", "headline", "elapsed", "created"],
  },
];

const view = choices(
  "home",
  {
    tab: "runs",
    q: "",
    state: "",
    sort: "-created",
    grouped: true,
    folded: /** @type {string[]} */ ([]),
    columns_runs: LISTS[0].columns,
    columns_datasets: LISTS[1].columns,
    columns_evaluations: LISTS[2].columns,
  },
  ["tab", "q", "state", "sort", "grouped"],
);

/** @type {Map<string, Summary>} */
const jobs = new Map();
/** @type {Map<string, {table: Table<Summary>, list: typeof LISTS[0], bar: HTMLElement}>} */
const tables = new Map();

// ---------------------------------------------------------------------- columns

const name = (/** @type {Summary} */ job) =>
  h(
    "div",
    { class: "name" },
    h("a", { class: "wrap", href: jobUrl(job.id) }, job.name),
    (job.tags.length > 0 || job.adopted || (job.alarms ?? 0) > 0) &&
      h(
        "span",
        { class: "row" },
        (job.alarms ?? 0) > 0 &&
          h(
            "span",
            { class: "badge", data: { state: "waiting" } },
            icon("alert"),
            plural(job.alarms ?? 0, "alarm"),
          ),
        job.adopted &&
          h(
            "span",
            { class: "tag", title: "A run of another program, read from its log" },
            "adopted",
          ),
        job.tags.map((tag) => h("span", { class: "tag" }, tag)),
      ),
  );

/** @type {Column[]} */
const COLUMNS = [
  { id: "name", label: "Name", first: true, value: (job) => job.name, view: name },
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
function parent(job) {
  const id = job.parents?.run ?? job.parents?.data;
  return id ? h("a", { href: jobUrl(id) }, id) : "";
}

/** @param {Summary} job */
function result(job) {
  const found = headline(job);
  if (!found) return "";
  return h(
    "span",
    { title: found[0] },
    figure(found[0], found[1]),
    " ",
    h("span", { class: "faint small" }, found[0].replace(/^test /, "")),
  );
}

/** Columns of every figure that the jobs have: the last and the best. @returns {Column[]} */
function figureColumns() {
  const names = new Set([...jobs.values()].flatMap((job) => Object.keys(job.metrics ?? {})));
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

/** @param {typeof LISTS[0]} list */
const columnsOf = (list) => {
  const own = COLUMNS.filter(
    (column) => ["name", "id", "group"].includes(column.id) || list.columns.includes(column.id),
  );
  return list.figures ? [...own, ...figureColumns()] : own;
};

// ---------------------------------------------------------------------- one list

/** @param {typeof LISTS[0]} list @param {HTMLElement} panel */
function showList(list, panel) {
  const key = /** @type {"columns_runs"} */ (`columns_${list.id}`);
  const table = new Table({
    label: list.label,
    key: (job) => job.id,
    name: (job) => job.name,
    columns: columnsOf(list),
    shown: view.get(key),
    sort: view.get("sort"),
    onsort: (sort) => view.set("sort", sort),
    search: (job) => `${job.name} ${job.id} ${job.group} ${job.tags.join(" ")} ${job.state}`,
    folded: view.get("folded"),
    onfold: (folded) => view.set("folded", folded),
    pick: (keys) => drawSelection(list.id, keys),
    empty: () => nothing(list),
  });
  const search = h("input", {
    type: "search",
    value: view.get("q"),
    placeholder: "Filter by name, group, tag",
    "aria-label": `Filter ${list.label.toLowerCase()}`,
  });
  search.addEventListener(
    "input",
    later(60, () => {
      view.set("q", search.value);
      refilter();
    }),
  );
  const state = h(
    "select",
    { "aria-label": "State", onchange: () => (view.set("state", state.value), refilter()) },
    ["", "running", "waiting", "paused", "done", "stopped", "aborted", "failed", "interrupted"].map(
      (one) =>
        h(
          "option",
          { value: one, selected: view.get("state") === one },
          one ? stateWord(/** @type {any} */ (one)) : "All states",
        ),
    ),
  );
  const grouped = h(
    "button",
    {
      class: "btn",
      type: "button",
      "aria-pressed": String(view.get("grouped")),
      onclick: () => flipGroups(grouped),
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
      onclick: () => chooseColumns(chooser, list),
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
  const selection = h("div", {
    class: "selection",
    role: "toolbar",
    "aria-label": "Chosen jobs",
    hidden: true,
  });
  tables.set(list.id, { table, list, bar: selection });
  fill(
    panel,
    h(
      "div",
      { class: "toolbar" },
      h("label", { class: "search" }, icon("search"), search),
      state,
      h("span", { class: "grow" }),
      grouped,
      chooser,
      csv,
    ),
    table.node,
    selection,
  );
  table.keep = (job) => !view.get("state") || job.state === view.get("state");
  table.words = view.get("q").toLowerCase().split(/\s+/).filter(Boolean);
  table.group = grouping();
  table.set([...jobs.values()].filter((job) => list.kinds.includes(job.kind)));
}

function refilter() {
  const state = view.get("state");
  for (const { table } of tables.values())
    table.filter(view.get("q"), (job) => !state || job.state === state);
}

/** How rows are put together: by group, where there are groups and they are wanted. */
function grouping() {
  const any = [...jobs.values()].some((job) => job.group);
  return view.get("grouped") && any ? (/** @type {Summary} */ job) => job.group : undefined;
}

/** @param {Table<Summary>} table */
const regroup = (table) => table.groupBy(grouping());

/** @param {HTMLElement} button */
function flipGroups(button) {
  view.set("grouped", !view.get("grouped"));
  button.setAttribute("aria-pressed", String(view.get("grouped")));
  for (const { table } of tables.values()) regroup(table);
}

/** @param {HTMLElement} button @param {typeof LISTS[0]} list */
function chooseColumns(button, list) {
  const key = /** @type {"columns_runs"} */ (`columns_${list.id}`);
  const known = tables.get(list.id);
  if (!known) return;
  const { table } = known;
  const columns = columnsOf(list);
  const flip = (/** @type {string} */ id, /** @type {boolean} */ on) => {
    const shown = columns
      .map((column) => column.id)
      .filter((one) => (one === id ? on : view.get(key).includes(one)));
    view.set(key, shown);
    table.show(shown, columns);
  };
  const box = (/** @type {Column} */ column) =>
    h(
      "label",
      { class: "check" },
      h("input", {
        type: "checkbox",
        checked: view.get(key).includes(column.id),
        onchange: (/** @type {Event} */ e) =>
          flip(column.id, /** @type {HTMLInputElement} */ (e.target).checked),
      }),
      column.label,
    );
  const own = columns.filter((column) => !column.first && COLUMNS.includes(column));
  const figures = columns.filter((column) => !COLUMNS.includes(column));
  popover(
    button,
    h(
      "div",
      { class: "stack" },
      h(
        "fieldset",
        { class: "stack tight" },
        h("legend", { class: "eyebrow" }, "Columns"),
        own.map(box),
      ),
      figures.length > 0 &&
        h(
          "fieldset",
          { class: "stack tight" },
          h("legend", { class: "eyebrow" }, "Figures"),
          figures.map(box),
        ),
    ),
    { label: "Columns" },
  );
}

/** @param {typeof LISTS[0]} list */
function nothing(list) {
  if (view.get("q") || view.get("state")) {
    const clear = () => {
      view.set("q", "");
      view.set("state", "");
      location.reload();
    };
    return empty({
      icon: "search",
      title: "Nothing fits the filter",
      actions: [h("button", { class: "btn", type: "button", onclick: clear }, "Show all")],
    });
  }
  if (list.id === "runs")
    return empty({
      icon: "chart",
      title: "No runs yet",
      text: "Runs started here or in a terminal appear by themselves.",
      actions: [h("a", { class: "btn primary", href: "/new/run" }, "New run")],
    });
  if (list.id === "datasets")
    return empty({
      icon: "image",
      title: "No datasets yet",
      text: "A dataset is made from a folder of pictures, from lists, or from an existing store.",
      actions: [h("a", { class: "btn primary", href: "/new/dataset" }, "New dataset")],
    });
  return empty({
    icon: "check",
    title: "No evaluations yet",
    text: "Open a run and evaluate one of its snapshots.",
  });
}

// ---------------------------------------------------------------------- chosen rows

/** @param {string} id @param {Set<string>} keys */
function drawSelection(id, keys) {
  const known = tables.get(id);
  if (!known) return;
  const { bar: place, list, table } = known;
  const chosen = [...keys].map((key) => jobs.get(key)).filter((job) => job !== undefined);
  place.hidden = !chosen.length;
  const done = () => table.forget(true);
  const button = (
    /** @type {string} */ text,
    /** @type {string} */ drawing,
    /** @type {() => Promise<boolean>} */ work,
    danger = false,
  ) =>
    h(
      "button",
      {
        class: `btn small${danger ? " danger" : ""}`,
        type: "button",
        onclick: async () => (await work()) && done(),
      },
      icon(drawing),
      text,
    );
  const working = chosen.filter(busy);
  fill(
    place,
    h("span", null, h("b", null, String(chosen.length)), " chosen"),
    list.id === "runs" &&
      h(
        "a",
        {
          class: "btn small primary",
          href: `/compare?ids=${chosen.map((job) => encodeURIComponent(job.id).replaceAll("%2F", "/")).join(",")}`,
        },
        icon("chart"),
        "Compare",
      ),
    button("Group", "group", () => act.regroup(chosen)),
    working.length > 0 &&
      button(
        "Abort",
        "ban",
        async () => (await Promise.all(working.map((job) => act.abort(job)))).some(Boolean),
        true,
      ),
    button("Delete", "trash", () => act.trash(chosen), true),
    h(
      "button",
      { class: "btn quiet icon small", type: "button", "aria-label": "Choose none", onclick: done },
      icon("x"),
    ),
  );
}

// ---------------------------------------------------------------------- at work

/** @type {Map<string, HTMLElement>} */
const cards = new Map();

function drawRunning() {
  const running = [...jobs.values()]
    .filter((job) => job.state === "running")
    .sort((a, b) => b.created - a.created);
  const waiting = [...jobs.values()]
    .filter((job) => job.state === "waiting")
    .sort((a, b) => (a.place ?? 0) - (b.place ?? 0));
  byId("running").hidden = !running.length && !waiting.length;
  const place = byId("running-cards");
  const shown = running.slice(0, 9);
  for (const [id, node] of cards) {
    if (!shown.some((job) => job.id === id)) {
      node.remove();
      cards.delete(id);
    }
  }
  shown.forEach((job, i) => {
    const made = card(job);
    const old = cards.get(job.id);
    if (old) fill(old, ...made);
    else
      cards.set(job.id, h("a", { class: "card stack tight job-card", href: jobUrl(job.id) }, made));
    const node = /** @type {HTMLElement} */ (cards.get(job.id));
    if (place.children[i] !== node) place.insertBefore(node, place.children[i] ?? null);
  });
  const first = waiting
    .slice(0, 6)
    .map((job) => h("a", { class: "tag", href: jobUrl(job.id) }, job.name));
  const rest = waiting.length - first.length;
  fill(
    byId("waiting"),
    waiting.length > 0 && [
      badge("waiting"),
      ...first,
      h(
        "a",
        { class: "small", href: "/system" },
        rest > 0 ? `and ${rest} more: the queue` : "The queue",
      ),
    ],
  );
}

/** @param {Summary} job */
function card(job) {
  const found = headline(job);
  return [
    h("div", { class: "row between" }, h("h3", { class: "clip grow" }, job.name), badge(job.state)),
    h(
      "div",
      { class: "job-card-plot" },
      sparkline(job.spark, { wide: true }),
      found &&
        h(
          "div",
          { class: "job-card-figure" },
          h("b", null, figure(found[0], found[1])),
          h("span", { class: "faint small" }, found[0]),
        ),
    ),
    bar(job),
    h(
      "div",
      { class: "row between small muted" },
      h(
        "span",
        null,
        job.total ? `${percent(job.done / job.total, 0)} · ${about(job)}` : about(job),
      ),
      h("span", null, eta(job)),
    ),
    h(
      "div",
      { class: "row between small faint" },
      h("span", { class: "clip" }, speed(job) || "\u00a0"),
      (job.alarms ?? 0) > 0 &&
        h(
          "span",
          { class: "badge", data: { state: "waiting" } },
          icon("alert"),
          plural(job.alarms ?? 0, "alarm"),
        ),
    ),
  ];
}

// ---------------------------------------------------------------------- the whole

/** @type {Tabs|null} */
let tabs = null;

function drawSummary() {
  const all = [...jobs.values()];
  const count = (/** @type {string} */ state) => all.filter((job) => job.state === state).length;
  const words = [
    plural(all.filter((job) => job.kind === "train").length, "run"),
    plural(all.filter((job) => job.kind === "dataset").length, "dataset"),
  ];
  if (count("running")) words.push(`${count("running")} at work`);
  if (count("waiting")) words.push(`${count("waiting")} waiting`);
  say(byId("summary"), `${root} · ${words.join(" · ")}`);
  for (const list of LISTS)
    tabs?.count(list.id, all.filter((job) => list.kinds.includes(job.kind)).length);
}

let root = "";

const drawAll = frame(() => {
  drawRunning();
  drawSummary();
});

/** @param {Summary} job */
function put(job) {
  const first = !jobs.size;
  const known = jobs.get(job.id);
  jobs.set(job.id, job);
  if (first) return drawPage();
  for (const { table, list } of tables.values()) {
    if (list.kinds.includes(job.kind)) table.put(job);
    if (!known || known.group !== job.group) regroup(table);
  }
  drawAll();
}

/** @param {string} id */
function drop(id) {
  jobs.delete(id);
  for (const { table } of tables.values()) table.drop(id);
  if (!jobs.size) drawPage();
  drawAll();
}

function drawPage() {
  const host = byId("jobs");
  tables.clear();
  if (!jobs.size) {
    tabs = null;
    fill(host, welcome());
  } else {
    host.classList.toggle("section", true);
    tabs = new Tabs(
      host,
      LISTS.map((list) => ({
        id: list.id,
        label: list.label,
        count: 0,
        show: (panel) => showList(list, panel),
      })),
      {
        label: "Kinds of jobs",
        chosen: view.get("tab"),
        onchange: (id) => view.set("tab", id, true),
      },
    );
  }
  drawRunning();
  drawSummary();
}

/** A short run that shows everything a run can show. */
const DEMO = {
  name: "LeNet on digits",
  group: "demo",
  epochs: 20,
  rate: 0.02,
  policy: "poly",
  policy_values: "1",
  histograms: 1,
  samples: 1,
};

/** What a stranger sees first. */
function welcome() {
  const demo = h(
    "button",
    { class: "btn primary", type: "button", onclick: () => startDemo(demo) },
    icon("play"),
    "Train LeNet on handwritten digits",
  );
  return h(
    "div",
    { class: "welcome stack loose" },
    empty({
      boxed: true,
      icon: "layers",
      title: "Nothing trained here yet",
      text: "Start with a demonstration: 1,797 handwritten digits, a small net, about a minute on this machine. Or make a dataset from a folder of your own pictures, one folder for each class.",
      actions: [demo, h("a", { class: "btn", href: "/new/dataset" }, "Use my own pictures")],
    }),
    h(
      "div",
      { class: "stack tight" },
      h("h2", null, "Or in a terminal, in this folder"),
      commandBox(
        ["minidl dataset digits", "minidl train --net lenet --data data/digits"],
        "Commands to start with",
      ),
      h(
        "p",
        { class: "muted small" },
        "Runs that you start there appear here by themselves, live.",
      ),
    ),
  );
}

/** @param {HTMLButtonElement} button */
async function startDemo(button) {
  button.disabled = true;
  try {
    const digits = { source: "digits", name: "digits", group: "demo" };
    const data = await post("jobs", { kind: "dataset", form: digits });
    const form = { net_from: "zoo", net: "lenet", data: data.jobs[0].id, ...DEMO };
    const run = await post("jobs", { kind: "train", form });
    const watch = { text: "Watch it", act: () => location.assign(jobUrl(run.jobs[0].id)) };
    toast("The digits are made, then LeNet learns them", "good", watch);
  } catch (error) {
    toastError(error);
  }
  button.disabled = false;
}

async function start() {
  try {
    const found = await get("jobs");
    root = found.root ?? "";
    for (const job of found.jobs) jobs.set(job.id, job);
    drawPage();
    listen("events", {
      job: put,
      gone: (data) => drop(typeof data === "string" ? data : data.id),
      again: refresh,
    });
  } catch (error) {
    fill(byId("jobs"), failed(error, start));
  }
}

/** After a break of the connection: what changed meanwhile. */
async function refresh() {
  try {
    const found = await get("jobs");
    const now = new Set(found.jobs.map((/** @type {Summary} */ job) => job.id));
    for (const id of [...jobs.keys()]) if (!now.has(id)) drop(id);
    for (const job of found.jobs) put(job);
  } catch {
    // the stream tries again, and so does this
  }
}

view.on(() => {
  tabs?.choose(view.get("tab"), false);
  refilter();
});

document.addEventListener("keydown", (event) => {
  const typing =
    event.target instanceof HTMLElement && event.target.matches("input, textarea, select");
  if (event.key !== "/" || typing) return;
  event.preventDefault();
  /** @type {HTMLElement|null} */ (
    document.querySelector("[role=tabpanel]:not([hidden]) input[type=search]")
  )?.focus();
});

start();
