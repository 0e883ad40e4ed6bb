// Runs side by side: their curves over each other, their figures, the fields in which they differ.
// The address is the state: a link shows the same comparison.

import { apiUrl, get, jobUrl } from "../lib/api.js";
import { ChartGroup, stroke, style } from "../lib/chart.js";
import { menu, popover } from "../lib/dialog.js";
import { byId, fill, h, later, say } from "../lib/dom.js";
import { duration, figure, isAccuracy, plural, whole } from "../lib/format.js";
import { icon } from "../lib/icons.js";
import { badge } from "../lib/job.js";
import { family } from "../lib/series.js";
import { empty, failed, loading } from "../lib/states.js";
import { choices } from "../lib/store.js";
import { listen } from "../lib/stream.js";
import { Table } from "../lib/table.js";

/** @typedef {import("../lib/types.js").Summary} Summary */
/** @typedef {import("../lib/types.js").Series} Series */
/** @typedef {import("../lib/chart.js").Chart} Chart */
/** @typedef {{runs: Summary[], fields: {field: string, values: (string|null)[]}[],
 *             series: Record<string, Record<string, Series>>}} Comparison */

const view = choices(
  "compare",
  { figures: /** @type {string[]} */ ([]), x: "iter", smooth: 0, log: false },
  ["figures", "x", "smooth", "log"],
);

const FIELDS = 24; // that differ, shown at first

let ids = readIds();

function readIds() {
  const text = new URLSearchParams(location.search).get("ids") ?? "";
  return [...new Set(text.split(",").filter(Boolean))];
}

/** @param {string[]} now */
function setIds(now) {
  ids = now;
  const url = new URL(location.href);
  if (ids.length) url.searchParams.set("ids", ids.join(","));
  else url.searchParams.delete("ids");
  history.pushState(null, "", url.href.replaceAll("%2C", ",").replaceAll("%2F", "/"));
  start();
}

// ---------------------------------------------------------------------- the page

/** @type {Page|null} */
let page = null;

class Page {
  /** @param {Comparison} found */
  constructor(found) {
    this.found = found;
    const keep = (/** @type {import("../lib/chart.js").View} */ now) => {
      view.set("x", now.x);
      view.set("smooth", now.smooth);
      view.set("log", now.log);
    };
    this.group = new ChartGroup(
      { x: /** @type {any} */ (view.get("x")), smooth: view.get("smooth"), log: view.get("log") },
      keep,
    );
    /** @type {Map<string, Chart>} */
    this.charts = new Map();
    this.place = h("div", { class: "charts" });
    this.chips = h("div", { class: "row run-chips" });
    this.figures = this.figureTable();
    this.fields = h("div");
    fill(
      byId("content"),
      this.chips,
      h("div", { class: "row between top chart-head-bar" }, this.group.controls(), this.chooser()),
      this.place,
      h("section", { class: "section" }, h("h2", null, "Figures"), this.figures.node),
      h("section", { class: "section" }, h("h2", null, "What differs"), this.fields),
    );
    fill(byId("actions"), this.adder(), this.exporter());
    this.draw(found);
  }

  /** Names of all figures that a run has. */
  names() {
    return [
      ...new Set(this.found.runs.flatMap((run) => Object.keys(this.found.series[run.id] ?? {}))),
    ].sort();
  }

  /** Names of the figures that are drawn. */
  chosen() {
    const names = this.names();
    const own = view.get("figures").filter((name) => names.includes(name));
    if (own.length) return own;
    const usual = ["test accuracy", "test loss", "train loss", "lr"].filter((name) =>
      names.includes(name),
    );
    return usual.length ? usual : names.slice(0, 4);
  }

  /** @param {Comparison} found */
  draw(found) {
    this.found = found;
    say(
      byId("summary"),
      `${plural(found.runs.length, "run")}, ${plural(found.fields.length, "field")} that ${found.fields.length === 1 ? "differs" : "differ"}`,
    );
    this.drawChips();
    this.drawCharts();
    this.figures.show(
      this.figures.columns.map((column) => column.id),
      this.figureColumns(),
    );
    this.figures.set(found.runs);
    fill(this.fields, this.fieldTable());
  }

  drawChips() {
    fill(
      this.chips,
      this.found.runs.map((run, i) =>
        h(
          "span",
          { class: "tag run-chip" },
          stroke(style(i)),
          h("a", { class: "clip", href: jobUrl(run.id) }, run.name),
          run.state === "running" && badge(run.state),
          h(
            "button",
            {
              class: "x",
              type: "button",
              "aria-label": `Leave out ${run.name}`,
              onclick: () => setIds(ids.filter((id) => id !== run.id)),
            },
            icon("x"),
          ),
        ),
      ),
    );
  }

  drawCharts() {
    const names = this.chosen();
    for (const [name, chart] of this.charts) {
      if (names.includes(name)) continue;
      chart.node.remove();
      this.group.charts = this.group.charts.filter((one) => one !== chart);
      this.charts.delete(name);
    }
    let epochs = false;
    names.forEach((name, at) => {
      const kind = family(name);
      const percents = kind === "accuracy";
      const chart =
        this.charts.get(name) ??
        this.group.chart({
          title: titleOf(name),
          file: `compare-${name}`,
          percents,
          log: percents || kind === "speed" ? false : undefined,
          smooth: kind === "rate" ? false : undefined,
          format: kind === "speed" ? (v) => figure("images/s", v) : undefined,
        });
      this.charts.set(name, chart);
      if (this.place.children[at] !== chart.node)
        this.place.insertBefore(chart.node, this.place.children[at] ?? null);
      this.found.runs.forEach((run, i) => {
        const series = this.found.series[run.id]?.[name];
        if (!series) return;
        const began = run.started ?? series.time[0] ?? 0;
        if (!chart.lines.has(run.id))
          chart.line(run.id, {
            ...style(i),
            label: run.name,
            start: began,
            dots: name.startsWith("test"),
          });
        chart.data(run.id).set(series);
        epochs ||= series.epoch?.some((epoch) => epoch !== null) ?? false;
      });
      chart.changed();
    });
    this.place.classList.toggle("one", names.length === 1);
    this.group.epochs(epochs);
    if (!epochs && this.group.view.x === "epoch") this.group.set({ x: "iter" });
  }

  figureColumns() {
    const runs = this.found.runs;
    /** @type {import("../lib/table.js").Column<Summary>[]} */
    const columns = [
      {
        id: "name",
        label: "Run",
        first: true,
        value: (run) => run.name,
        view: (run) =>
          h(
            "span",
            { class: "row nowrap" },
            stroke(style(runs.indexOf(run))),
            h("a", { href: jobUrl(run.id) }, run.name),
          ),
      },
      { id: "state", label: "State", value: (run) => run.state, view: (run) => badge(run.state) },
      {
        id: "done",
        label: "Iterations",
        num: true,
        value: (run) => run.done,
        view: (run) => whole(run.done),
      },
      {
        id: "elapsed",
        label: "Took",
        num: true,
        value: (run) => run.elapsed,
        view: (run) => duration(run.elapsed),
      },
    ];
    const names = [...new Set(runs.flatMap((run) => Object.keys(run.metrics ?? {})))]
      .filter((name) => !["lr", "train loss (batch)", "images/s"].includes(name))
      .sort();
    for (const name of names) {
      const best = (/** @type {Summary} */ run) => run.metrics?.[name]?.best ?? null;
      const known = runs.map(best).filter((value) => value !== null);
      const top =
        known.length > 1
          ? isAccuracy(name) || name === "images/s"
            ? Math.max(...known)
            : Math.min(...known)
          : null;
      columns.push({
        id: `last ${name}`,
        label: `${name}, last`,
        num: true,
        value: (run) => run.metrics?.[name]?.last,
        view: (run) => figure(name, run.metrics?.[name]?.last),
      });
      columns.push({
        id: `best ${name}`,
        label: "best",
        title: `${name}, best`,
        num: true,
        value: best,
        view: (run) =>
          best(run) !== null && best(run) === top
            ? h(
                "b",
                { class: "top", title: "The best of these runs" },
                icon("check"),
                figure(name, best(run)),
              )
            : figure(name, best(run)),
      });
      columns.push({
        id: `at ${name}`,
        label: "at",
        title: `${name}: iteration of the best`,
        num: true,
        value: (run) => run.metrics?.[name]?.best_iter,
        view: (run) => h("span", { class: "faint" }, whole(run.metrics?.[name]?.best_iter)),
      });
    }
    return columns;
  }

  figureTable() {
    const columns = this.figureColumns();
    const table = new Table({
      label: "Figures of the runs",
      key: (/** @type {Summary} */ run) => run.id,
      columns,
    });
    table.table.classList.remove("narrow-cards");
    table.shown = columns.map((column) => column.id);
    return table;
  }

  fieldTable() {
    const { fields, runs } = this.found;
    if (runs.length < 2)
      return empty({
        title: "Choose a second run",
        text: "With two or more runs, the fields of solver and net in which they differ stand here.",
        boxed: true,
      });
    if (!fields.length) return empty({ title: "Solver and net are the same", boxed: true });
    const body = h("tbody");
    const all = h(
      "button",
      { class: "btn quiet small", type: "button", onclick: () => draw(fields.length) },
      `All ${whole(fields.length)} fields`,
    );
    const draw = (/** @type {number} */ most) => {
      const shown = fields.slice(0, most);
      fill(
        body,
        shown.map((row) => {
          const values = row.values.map((value) =>
            h("td", { class: "mono wrap" }, value ?? h("span", { class: "faint" }, "–")),
          );
          return h("tr", null, h("th", { scope: "row" }, h("code", null, row.field)), values);
        }),
      );
      all.hidden = most >= fields.length;
    };
    draw(FIELDS);
    const heads = runs.map((run, i) =>
      h("th", { scope: "col" }, h("span", { class: "row nowrap" }, stroke(style(i)), run.name)),
    );
    return h(
      "div",
      { class: "stack tight" },
      h(
        "div",
        { class: "table-wrap", tabindex: "0", role: "region", "aria-label": "What differs" },
        h(
          "table",
          { class: "table dense" },
          h("thead", null, h("tr", null, h("th", { scope: "col" }, "Field"), heads)),
          body,
        ),
      ),
      h("div", null, all),
    );
  }

  // ------------------------------------------------------------------ choosing

  chooser() {
    const button = h(
      "button",
      {
        class: "btn",
        type: "button",
        "aria-haspopup": "dialog",
        onclick: () => this.choose(button),
      },
      icon("chart"),
      "Figures",
    );
    return button;
  }

  /** @param {HTMLElement} button */
  choose(button) {
    const flip = (/** @type {string} */ name, /** @type {boolean} */ on) => {
      view.set(
        "figures",
        this.names().filter((one) => (one === name ? on : this.chosen().includes(one))),
        true,
      );
      this.drawCharts();
    };
    const boxes = this.names().map((name) =>
      h(
        "label",
        { class: "check" },
        h("input", {
          type: "checkbox",
          checked: this.chosen().includes(name),
          onchange: (/** @type {Event} */ e) =>
            flip(name, /** @type {HTMLInputElement} */ (e.target).checked),
        }),
        name,
      ),
    );
    popover(
      button,
      h(
        "fieldset",
        { class: "stack tight" },
        h("legend", { class: "eyebrow" }, "Figures to draw"),
        boxes,
      ),
      { label: "Figures" },
    );
  }

  adder() {
    const button = h(
      "button",
      { class: "btn", type: "button", "aria-haspopup": "dialog", onclick: () => addRun(button) },
      icon("plus"),
      "Add a run",
    );
    return button;
  }

  exporter() {
    const address = ids.join(",");
    const button = h(
      "button",
      {
        class: "btn icon",
        type: "button",
        "aria-haspopup": "menu",
        "aria-label": "Save as CSV",
        title: "Save as CSV",
        onclick: () =>
          menu(button, [
            {
              text: "The table (.csv)",
              icon: "download",
              href: apiUrl("compare", { ids: address, format: "csv" }),
              download: true,
            },
            {
              text: "The curves (.csv)",
              icon: "download",
              href: apiUrl("compare", { ids: address, format: "csv", points: 1500 }),
              download: true,
            },
          ]),
      },
      icon("download"),
    );
    return button;
  }
}

/** @param {string} name of a figure */
const titleOf = (name) =>
  name === "lr" ? "Learning rate" : name.charAt(0).toUpperCase() + name.slice(1);

/** A list of the other runs, to be filtered and clicked. @param {HTMLElement} button */
async function addRun(button) {
  const list = h("div", { class: "stack tight" }, loading(3));
  const input = h("input", {
    type: "search",
    placeholder: "Filter runs",
    "aria-label": "Filter runs",
  });
  const shut = popover(
    button,
    h("div", { class: "stack" }, h("label", { class: "search" }, icon("search"), input), list),
    { label: "Add a run" },
  );
  try {
    const { jobs } = await get("jobs", { kind: "train" });
    const draw = () => {
      const words = input.value.toLowerCase();
      const others = jobs.filter(
        (/** @type {Summary} */ job) =>
          !ids.includes(job.id) &&
          `${job.name} ${job.id} ${job.group}`.toLowerCase().includes(words),
      );
      const add = (/** @type {Summary} */ job) => {
        shut();
        setIds([...ids, job.id]);
      };
      fill(
        list,
        others
          .slice(0, 40)
          .map((/** @type {Summary} */ job) =>
            h(
              "button",
              { class: "btn quiet run-option", type: "button", onclick: () => add(job) },
              h("span", { class: "clip grow" }, job.name),
              badge(job.state),
            ),
          ),
        !others.length && h("p", { class: "faint small" }, "No other run fits"),
      );
    };
    input.addEventListener("input", draw);
    draw();
  } catch (error) {
    fill(list, failed(error));
  }
}

/** Without ids: the runs to choose from. */
async function pickRuns() {
  const { jobs } = await get("jobs", { kind: "train" });
  say(byId("summary"), "Choose two or more runs");
  if (!jobs.length) {
    fill(
      byId("content"),
      empty({
        icon: "chart",
        title: "No runs yet",
        text: "Train something first; then its curves can be laid over others.",
        boxed: true,
        actions: [h("a", { class: "btn primary", href: "/new/run" }, "New run")],
      }),
    );
    return;
  }
  const button = h(
    "button",
    {
      class: "btn primary",
      type: "button",
      disabled: true,
      onclick: () => setIds([...table.picked]),
    },
    icon("chart"),
    "Compare",
  );
  /** @type {Table<Summary>} */
  const table = new Table({
    label: "Runs",
    key: (job) => job.id,
    name: (job) => job.name,
    sort: "-created",
    pick: (keys) => (button.disabled = keys.size < 1),
    search: (job) => `${job.name} ${job.id} ${job.group} ${job.tags.join(" ")}`,
    columns: [
      {
        id: "name",
        label: "Run",
        first: true,
        value: (job) => job.name,
        view: (job) => h("a", { href: jobUrl(job.id) }, job.name),
      },
      { id: "state", label: "State", value: (job) => job.state, view: (job) => badge(job.state) },
      { id: "group", label: "Group", value: (job) => job.group },
      {
        id: "done",
        label: "Iterations",
        num: true,
        value: (job) => job.done,
        view: (job) => whole(job.done),
      },
    ],
  });
  const input = h("input", {
    type: "search",
    placeholder: "Filter by name, group, tag",
    "aria-label": "Filter runs",
  });
  input.addEventListener(
    "input",
    later(60, () => table.filter(input.value)),
  );
  table.set(jobs);
  fill(
    byId("content"),
    h(
      "div",
      { class: "toolbar" },
      h("label", { class: "search" }, icon("search"), input),
      h("span", { class: "grow" }),
      button,
    ),
    table.node,
  );
}

async function start() {
  page = null;
  fill(byId("actions"));
  try {
    if (!ids.length) return await pickRuns();
    page = new Page(await get("compare", { ids: ids.join(",") }));
  } catch (error) {
    fill(byId("content"), failed(error, start));
  }
}

const refresh = later(1500, async () => {
  const asked = ids.join(",");
  try {
    const found = await get("compare", { ids: asked });
    if (asked === ids.join(",")) page?.draw(found);
  } catch {
    // the next change asks again
  }
});

start().then(() =>
  listen("events", { job: (job) => ids.includes(job.id) && refresh(), again: refresh }),
);
window.addEventListener("popstate", () => {
  ids = readIds();
  start();
});
