// The charts of a run, drawn as it goes, and the alarms over them.

import { ChartGroup } from "../lib/chart.js";
import { fill, frame, h, later } from "../lib/dom.js";
import { figure, whole } from "../lib/format.js";
import { commandBox } from "../lib/job.js";
import { family } from "../lib/series.js";
import { notice } from "../lib/states.js";
import { choices } from "../lib/store.js";

/** @typedef {import("./run_model.js").RunModel} RunModel */
/** @typedef {import("../lib/chart.js").Chart} Chart */
/** @typedef {import("../lib/types.js").Alarm} Alarm */

const view = choices("run.charts", { x: "iter", smooth: 0, log: false }, ["x", "smooth", "log"]);

/** @type {Record<string, {title: string, [more: string]: any}>} */
const CHARTS = {
  loss: { title: "Loss", empty: "The loss appears with the first display" },
  accuracy: {
    title: "Accuracy",
    percents: true,
    log: false,
    empty: "The accuracy appears with the first test",
  },
  rate: { title: "Learning rate", smooth: false },
  speed: {
    title: "Images per second",
    log: false,
    format: (/** @type {number} */ v) => figure("images/s", v),
  },
  other: { title: "Other outputs" },
};

/** @param {HTMLElement} panel @param {RunModel} run */
export function show(panel, run) {
  const alarms = new Alarms(run);
  const curves = new Curves(run);
  fill(
    panel,
    alarms.node,
    curves.group.controls(),
    curves.node,
    run.job.command &&
      h(
        "section",
        { class: "section" },
        h("h2", null, "The same in a terminal"),
        commandBox(run.job.command),
        h("p", { class: "small faint row" }, "Run in ", h("code", null, run.job.cwd)),
      ),
  );
  curves.group.epochs(run.epochIters > 0);
  curves.update();
  return { back: () => curves.group.rebuild() };
}

class Curves {
  /** @param {RunModel} run */
  constructor(run) {
    this.run = run;
    const keep = (/** @type {import("../lib/chart.js").View} */ now) => {
      view.set("x", now.x);
      view.set("smooth", now.smooth);
      view.set("log", now.log);
    };
    const x = /** @type {import("../lib/chart.js").X} */ (view.get("x"));
    this.group = new ChartGroup(
      {
        x: x === "epoch" && !run.epochIters ? "iter" : x,
        smooth: view.get("smooth"),
        log: view.get("log"),
      },
      keep,
      later(200, (from, to) => this.refine(from, to)),
    );
    this.node = h("div", { class: "charts" });
    /** @type {Map<string, Chart>} */
    this.charts = new Map();
    for (const kind of ["loss", "accuracy", "rate", "speed"]) {
      const known =
        run.lines.size > 0 &&
        kind === "accuracy" &&
        ![...run.lines.keys()].some((name) => family(name) === kind);
      if (!known) this.chart(kind);
    }
    run.on(
      "figures",
      frame(() => this.update()),
    );
    run.on("reset", () => this.update());
  }

  /** @param {string} kind @returns {Chart} */
  chart(kind) {
    const known = this.charts.get(kind);
    if (known) return known;
    const made = this.group.chart({ file: `${this.run.job.name}-${kind}`, ...CHARTS[kind] });
    this.charts.set(kind, made);
    const order = Object.keys(CHARTS).filter((one) => this.charts.has(one));
    this.node.insertBefore(made.node, this.node.children[order.indexOf(kind)] ?? null);
    return made;
  }

  /** Give every curve of the run its line, and draw what changed. */
  update() {
    // the training first: the fewer points of the tests are drawn over it
    const names = [...this.run.lines.keys()].sort((a, b) => rank(a) - rank(b));
    for (const name of names) {
      const points = /** @type {import("../lib/series.js").Points} */ (this.run.lines.get(name));
      const chart = this.chart(family(name));
      const known = chart.lines.get(name);
      if (known) known.points = points;
      else chart.line(name, { ...look(name, chart.lines.size), start: this.run.began }, points);
    }
    for (const chart of this.charts.values()) chart.changed();
    this.group.epochs(this.run.epochIters > 0);
  }

  /** Ask for finer curves of what one zoomed into. @param {number} from @param {number} to on the x axis */
  async refine(from, to) {
    if (!Number.isFinite(from)) return;
    const { x } = this.group.view;
    const longest = [...this.run.lines.values()].reduce((a, b) => (b.length > a.length ? b : a));
    const at = (/** @type {number} */ value, /** @type {1|-1} */ side) => {
      if (x === "iter") return value;
      const xs = x === "epoch" ? longest.epoch : longest.time.map((time) => time - this.run.began);
      const i = xs.findIndex((one) => one !== null && one >= value);
      const index = Math.min(
        Math.max(0, (i < 0 ? longest.length - 1 : i) + (side < 0 ? -1 : 0)),
        longest.length - 1,
      );
      return longest.iter[index];
    };
    try {
      await this.run.refine(at(from, -1), at(to, 1));
    } catch {
      // what is shown stays: it is coarse, not wrong
    }
  }
}

/** @param {string} name */
const rank = (name) => (name.includes("(batch)") ? 3 : name.startsWith("test") ? 2 : 1);

/** How a curve looks: the tests and the training always have the same colours. @param {string} name @param {number} count of lines before it */
function look(name, count) {
  const label = name.replace(/^(train|test(?:#\d+)?) (?:loss|accuracy)( \(batch\))?$/, "$1$2");
  if (name === "train loss (batch)") return { label, colour: 8, hidden: true };
  if (name === "lr") return { label: "rate", colour: 1 };
  if (name === "images/s") return { label: "images/s", colour: 3 };
  if (/^train (loss|accuracy)$/.test(name)) return { label, colour: 1 };
  if (/^test (loss|accuracy)$/.test(name)) return { label, colour: 2, dots: true };
  return { label, colour: (count % 6) + 3, dots: name.startsWith("test") };
}

class Alarms {
  /** @param {RunModel} run */
  constructor(run) {
    /** @type {Alarm[]} */
    this.all = [...(run.job.alarm_list ?? [])];
    this.node = h("div", { class: "stack tight alarms" });
    run.on("line", (line) => {
      if (line.event !== "alarm") return;
      this.all.push(line);
      this.draw();
    });
    this.draw();
  }

  draw() {
    /** @type {Map<string, Alarm[]>} */
    const kinds = new Map();
    for (const alarm of this.all) {
      const key = `${alarm.kind}/${alarm.layer ?? ""}`;
      kinds.set(key, [...(kinds.get(key) ?? []), alarm]);
    }
    const rows = [...kinds.values()].map((alarms) => {
      const last = alarms[alarms.length - 1];
      const when =
        alarms.length === 1
          ? `at iteration ${whole(last.iter)}`
          : `${alarms.length} times, last at iteration ${whole(last.iter)}`;
      return notice(last.kind === "nan" ? "bad" : "warn", [
        h("span", { class: "wrap" }, last.text ?? last.kind ?? ""),
        " ",
        h("span", { class: "faint small nowrap" }, when),
      ]);
    });
    const rest = rows.slice(3);
    fill(
      this.node,
      rows.slice(0, 3),
      rest.length > 0 &&
        h(
          "details",
          { class: "stack tight" },
          h("summary", { class: "small muted" }, `${rest.length} more`),
          rest,
        ),
    );
  }
}
