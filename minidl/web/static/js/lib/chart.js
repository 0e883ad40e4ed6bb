// Line charts that live: uPlot, with a legend that reads values, smoothing, zoom and export.
//
//   const group = new ChartGroup({smooth: 0, x: "iter", log: false}, (change) => keep it,
//                                (from, to) => load finer data);
//   page.append(group.controls(), h("div", {class: "charts"}, loss.node, ...))
//   const loss = group.chart({title: "Loss", file: "lenet-loss"})
//   loss.line("train loss", {label: "train", colour: 1}, points?)    define a line, once
//   loss.data("train loss").set(series)   .push(iter, time, epoch, value)      (series.js)
//   loss.changed()                        draws, once per frame at most
//
// The charts of a group share the x axis, the zoom, the cursor and the smoothing. Drag to zoom,
// double click to see all; the menu of a chart sets limits by keyboard.

import { fill, frame, h, later, s, say } from "./dom.js";
import { duration, num, percent, whole } from "./format.js";
import { icon } from "./icons.js";
import { Points, smooth } from "./series.js";
import { colour, onTheme } from "./theme.js";

/** @typedef {"iter"|"epoch"|"time"} X */
/** @typedef {{x: X, smooth: number, log: boolean}} View */
/** @typedef {{label: string, colour: number, dash?: number[], dots?: boolean, hidden?: boolean,
 *             points: Points, start: number}} Line  start: what its times count from */

export const X_NAMES = { iter: "Iteration", epoch: "Epoch", time: "Time" };
const COLOURS = 8;
let groups = 0;

const DASHES = [[], [12, 4], [4, 3], [14, 3, 3, 3], [7, 3]];

/** The n-th of a row of lines: told apart by its colour, and by its dashes. @param {number} n */
export function style(n) {
  return { colour: (n % COLOURS) + 1, dash: DASHES[n % DASHES.length] };
}

/** A short stroke as a line has it. @param {{colour: number, dash?: number[]}} line */
export function stroke(line) {
  return s(
    "svg",
    { viewBox: "0 0 18 8", "aria-hidden": "true", style: { color: `var(--c${line.colour})` } },
    s("path", {
      d: "M1 4h16",
      "stroke-dasharray": line.dash?.length ? line.dash.join(" ") : null,
    }),
  );
}

export class ChartGroup {
  /**
   * @param {View} view
   * @param {(view: View) => void} [onview]
   * @param {(from: number, to: number) => void} [onzoom] limits of the x axis; NaN: all
   */
  constructor(view, onview, onzoom) {
    this.view = { ...view };
    this.onview = onview;
    this.onzoom = onzoom;
    this.key = `charts-${++groups}`;
    /** @type {Chart[]} */
    this.charts = [];
    /** @type {[number, number]|null} */
    this.zoomed = null;
    onTheme(() => this.rebuild());
  }

  /** @param {ConstructorParameters<typeof Chart>[1]} options */
  chart(options) {
    const made = new Chart(this, options);
    this.charts.push(made);
    return made;
  }

  rebuild() {
    for (const chart of this.charts) chart.rebuild();
  }

  /** @param {Partial<View>} change */
  set(change) {
    const x = change.x && change.x !== this.view.x;
    Object.assign(this.view, change);
    if (x) this.zoom(null);
    this.onview?.(this.view);
    this.rebuild();
  }

  /** @param {[number, number]|null} range */
  zoom(range) {
    this.zoomed = range;
    if (this.resetButton) this.resetButton.disabled = !range;
    for (const chart of this.charts) chart.changed();
    this.onzoom?.(range ? range[0] : NaN, range ? range[1] : NaN);
  }

  /** The x axis of all charts: as far as any line goes. @param {number} low @param {number} high @returns {[number, number]} */
  extent(low, high) {
    for (const chart of this.charts) {
      for (const line of chart.lines.values()) {
        if (line.hidden || !line.points.length) continue;
        const [first, last] = ends(line, this.view.x);
        if (first !== null && first < low) low = first;
        if (last !== null && last > high) high = last;
      }
    }
    return [low, high];
  }

  /** Without epochs where a run does not know them. @param {boolean} known */
  epochs(known) {
    const box = /** @type {HTMLInputElement|null} */ (
      this.bar?.querySelector("input[value=epoch]")
    );
    if (box) box.disabled = !known;
  }

  controls() {
    const name = `${this.key}-x`;
    const choice = (/** @type {X} */ x) =>
      h(
        "label",
        null,
        h("input", {
          type: "radio",
          name,
          value: x,
          checked: this.view.x === x,
          onchange: () => this.set({ x }),
        }),
        h("span", null, X_NAMES[x]),
      );
    const out = h("output", null, this.view.smooth.toFixed(2));
    const slide = later(30, () => this.set({ smooth: Number(range.value) }));
    const range = h("input", {
      type: "range",
      min: 0,
      max: 0.99,
      step: 0.01,
      value: this.view.smooth,
      "aria-label": "Smoothing",
      oninput: () => {
        say(out, Number(range.value).toFixed(2));
        slide();
      },
    });
    this.resetButton = h(
      "button",
      {
        class: "btn quiet small",
        type: "button",
        disabled: !this.zoomed,
        onclick: () => this.reset(),
      },
      icon("reset"),
      "Whole run",
    );
    this.bar = h(
      "div",
      { class: "row chart-bar" },
      h(
        "div",
        { class: "segmented", role: "radiogroup", "aria-label": "Horizontal axis" },
        choice("iter"),
        choice("epoch"),
        choice("time"),
      ),
      h("label", { class: "range" }, h("span", null, "Smoothing"), range, out),
      h(
        "label",
        { class: "switch" },
        h("input", {
          type: "checkbox",
          role: "switch",
          checked: this.view.log,
          onchange: (/** @type {Event} */ e) =>
            this.set({ log: /** @type {HTMLInputElement} */ (e.target).checked }),
        }),
        "Log scale",
      ),
      this.resetButton,
    );
    return this.bar;
  }

  reset() {
    for (const chart of this.charts) chart.limits = null;
    this.zoom(null);
  }
}

export class Chart {
  /**
   * @param {ChartGroup} group
   * @param {{title: string, file: string, format?: (value: number) => string, tall?: boolean,
   *          log?: boolean, smooth?: boolean, empty?: string, percents?: boolean}} options
   *   log, smooth: false keeps the group's choice from this chart
   */
  constructor(group, options) {
    this.group = group;
    this.options = options;
    /** @type {Map<string, Line>} */
    this.lines = new Map();
    /** @type {[number, number]|null} limits of the y axis */
    this.limits = null;
    /** @type {uPlot|null} */
    this.plot = null;
    this.format =
      options.format ??
      (options.percents
        ? (/** @type {number} */ v) => percent(v, 2)
        : (/** @type {number} */ v) => num(v));
    this.place = h("div", { class: "chart-plot", role: "img", "aria-label": options.title });
    this.legend = h("div", {
      class: "legend",
      role: "group",
      "aria-label": `Lines of ${options.title}`,
    });
    this.tip = h("div", { class: "tip", hidden: true });
    const more = h(
      "button",
      {
        class: "btn quiet icon small",
        type: "button",
        "aria-haspopup": "menu",
        "aria-label": `More on ${options.title}`,
        onclick: () => this.more(more),
      },
      icon("more"),
    );
    this.node = h(
      "section",
      { class: options.tall ? "chart tall" : "chart", "aria-label": options.title },
      h(
        "div",
        { class: "chart-head" },
        h("h2", null, options.title),
        h("div", { class: "chart-tools" }, more),
      ),
      this.place,
      this.legend,
    );
    this.changed = frame(() => this.draw());
    const fit = frame(() => this.fit());
    new ResizeObserver(fit).observe(this.place);
  }

  /** @param {string} id @param {{label: string, colour: number, dash?: number[], dots?: boolean, hidden?: boolean, start?: number}} line @param {Points} [points] that somebody else keeps */
  line(id, line, points) {
    const known = this.lines.get(id);
    if (known) Object.assign(known, line, points ? { points } : {});
    else this.lines.set(id, { ...line, points: points ?? new Points(), start: line.start ?? NaN });
    this.rebuild();
  }

  /** @param {string} id @returns {Points} */
  data(id) {
    const line = this.lines.get(id);
    if (!line) throw new Error(`the chart ${this.options.title} has no line ${id}`);
    return line.points;
  }

  /** @param {string} id */
  remove(id) {
    this.lines.delete(id);
    this.rebuild();
  }

  rebuild() {
    this.stale = true;
    this.changed();
  }

  // ------------------------------------------------------------------ drawing

  get logged() {
    return this.group.view.log && this.options.log !== false;
  }

  get smoothed() {
    return this.options.smooth === false ? 0 : this.group.view.smooth;
  }

  /** Whether a line is smoothed: not the few points of the tests, each of which counts. @param {Line} line */
  evens(line) {
    return this.smoothed > 0 && !line.dots;
  }

  draw() {
    if (!this.place.clientWidth) return; // in a hidden tab; the observer comes back
    const shown = [...this.lines.values()];
    if (!shown.some((line) => line.points.length)) {
      this.plot?.destroy();
      this.plot = null;
      this.stale = true;
      fill(
        this.place,
        h(
          "div",
          { class: "empty" },
          h("p", { class: "faint small" }, this.options.empty ?? "No figures yet"),
        ),
      );
      this.drawLegend();
      return;
    }
    const data = this.table(shown);
    if (this.stale || !this.plot) {
      this.plot?.destroy();
      fill(this.place);
      this.plot = new uPlot(this.setup(shown), data, this.place);
      this.place.append(this.tip);
      this.stale = false;
      this.drawLegend();
    } else {
      this.plot.setData(data);
      this.readLegend();
    }
  }

  /** The data as uPlot wants it: one x axis, for every line what was read and what is smoothed. @param {Line[]} lines */
  table(lines) {
    const { x } = this.group.view;
    const tables = lines.map((line) => {
      const xs = xsOf(line, x);
      const floor = this.logged
        ? line.points.value.map((v) => (v !== null && v > 0 ? v : null))
        : line.points.value;
      return ascending(
        xs,
        floor,
        this.evens(line) ? smooth(floor, this.smoothed) : floor.map(() => null),
      );
    });
    return uPlot.join(tables);
  }

  /** @param {Line[]} lines */
  setup(lines) {
    const { view, key } = this.group;
    const axis = {
      stroke: colour("--ink-3"),
      font: "12px system-ui, sans-serif",
      ticks: { show: false },
      grid: { stroke: colour("--line"), width: 1 },
    };
    /** @type {uPlot.Series[]} */
    const series = [{}];
    for (const line of lines) {
      const raw = this.evens(line);
      const look = { dash: line.dash, show: !line.hidden, spanGaps: false };
      const dots = {
        size: 5,
        show: (
          /** @type {uPlot} */ u,
          /** @type {number} */ i,
          /** @type {number} */ from,
          /** @type {number} */ to,
        ) => sparse(u, i, from, to, !!line.dots),
      };
      const name = `--c${line.colour}`;
      series.push({
        ...look,
        label: line.label,
        stroke: colour(name, raw ? 0.28 : 1),
        width: raw ? 1 : 1.75,
        points: raw
          ? { show: false }
          : { ...dots, fill: colour("--surface"), stroke: colour(name), width: 1.5 },
      });
      series.push({
        ...look,
        show: raw && !line.hidden,
        label: line.label,
        stroke: colour(name),
        width: 2,
        points: { show: false },
      });
    }
    return /** @type {uPlot.Options} */ ({
      width: this.place.clientWidth,
      height: this.place.clientHeight,
      legend: { show: false },
      padding: [8, 26, 0, 0],
      series,
      scales: {
        x: { time: false, range: (u, low, high) => this.xRange(low, high) },
        y: { distr: this.logged ? 3 : 1, range: (u, low, high) => this.yRange(low, high) },
      },
      axes: [
        {
          ...axis,
          size: 32,
          space: 64,
          values: (u, splits) => splits.map((v) => xText(v, view.x)),
        },
        {
          ...axis,
          size: 58,
          space: 36,
          values: (u, splits) => splits.map((v) => (v === null ? "" : this.tickText(v, splits))),
        },
      ],
      cursor: {
        sync: { key, setSeries: false },
        drag: { x: true, y: false, setScale: false },
        points: { size: 7, width: 2 },
        dataIdx: (u, i, at) => nearest(u.data[i], at),
        bind: { dblclick: () => () => (this.group.reset(), null) },
      },
      hooks: {
        setSelect: [(u) => this.selected(u)],
        setCursor: [(u) => this.pointed(u)],
      },
    });
  }

  /** @param {number} low @param {number} high @returns {[number, number]} */
  xRange(low, high) {
    if (this.group.zoomed) return this.group.zoomed;
    if (low === null || high === null) return [0, 1];
    const [first, last] = this.group.extent(low, high);
    return first === last ? [first - 0.5, last + 0.5] : [first, last];
  }

  /** @param {number|null} low @param {number|null} high @returns {[number, number]} */
  yRange(low, high) {
    if (this.limits) return this.limits;
    if (low === null || high === null) return this.logged ? [0.1, 1] : [0, 1];
    if (this.logged) return [low * 0.9, high * 1.1];
    const room = (high - low || Math.abs(high) || 1) * 0.06;
    const top = this.options.percents && high <= 1 ? Math.min(1.005, high + room) : high + room;
    // a quantity that cannot be negative does not pretend to be
    return [low >= 0 ? Math.max(0, low - room) : low - room, top];
  }

  /** @param {number} value @param {number[]} splits */
  tickText(value, splits) {
    if (this.logged)
      return Math.abs(Math.log10(value) - Math.round(Math.log10(value))) < 1e-6
        ? String(Number(value.toPrecision(1)))
        : "";
    const step = Math.abs((splits[1] ?? value) - splits[0]) || 1;
    if (this.options.percents)
      return `${(value * 100).toFixed(step < 0.0995 && step < 0.00995 ? 1 : 0)} %`;
    if (Math.abs(value) >= 10_000 || (step < 1e-4 && value !== 0)) return num(value, 3);
    return value.toFixed(Math.max(0, Math.ceil(-Math.log10(step) - 1e-9))).replace(/^-/, "−");
  }

  fit() {
    const { clientWidth: width, clientHeight: height } = this.place;
    if (!width) return;
    if (this.plot) this.plot.setSize({ width, height });
    else this.changed();
  }

  // ------------------------------------------------------------------ reading values

  drawLegend() {
    this.values = new Map();
    const buttons = [...this.lines.values()].map((line) => {
      const value = h("b");
      this.values?.set(line, value);
      const flip = () => {
        line.hidden = !line.hidden;
        button.setAttribute("aria-pressed", String(!line.hidden));
        this.rebuild();
      };
      const button = h(
        "button",
        { type: "button", "aria-pressed": String(!line.hidden), onclick: flip },
        stroke(line),
        h("span", { class: "clip" }, line.label),
        value,
      );
      return button;
    });
    const same =
      this.legend.childElementCount === buttons.length &&
      [...this.legend.querySelectorAll("span")].every(
        (old, i) => old.textContent === buttons[i].querySelector("span")?.textContent,
      );
    if (same && this.legend.contains(document.activeElement)) {
      // the button that was just pressed stays, and with it the focus
      [...this.lines.values()].forEach((line, i) =>
        this.values?.set(
          line,
          /** @type {HTMLElement} */ (this.legend.children[i].querySelector("b")),
        ),
      );
    } else fill(this.legend, buttons);
    this.readLegend();
  }

  /** The values at the cursor, or the last ones. */
  readLegend() {
    const at = this.plot?.cursor;
    const pointing = at && at.left !== undefined && at.left >= 0 && at.idx !== null;
    let i = 0;
    const words = [];
    for (const line of this.lines.values()) {
      i += 2;
      const column = this.plot?.data[this.evens(line) ? i : i - 1];
      const index = pointing ? nearest(column ?? [], /** @type {number} */ (at.idx)) : null;
      const value = index !== null && column ? column[index] : this.lastOf(column);
      const text = typeof value === "number" ? this.format(value) : "";
      const place = this.values?.get(line);
      if (place) say(place, text);
      words.push(`${line.label} ${text}`);
    }
    if (!pointing)
      this.place.setAttribute("aria-label", `${this.options.title}, last: ${words.join(", ")}`);
  }

  /** @param {ArrayLike<number|null|undefined>|undefined} column */
  lastOf(column) {
    for (let i = (column?.length ?? 0) - 1; i >= 0; i--) {
      const value = column?.[i];
      if (value !== null && value !== undefined) return value;
    }
    return null;
  }

  /** @param {uPlot} u */
  pointed(u) {
    this.readLegend();
    const { left = -1, top = -1, idx } = u.cursor;
    // of the charts of a group, only the one under the pointer has a tip
    if (idx === null || idx === undefined || left < 0 || !u.over.matches(":hover")) {
      this.tip.hidden = true;
      return;
    }
    const { x } = this.group.view;
    const rows = [];
    let i = 0;
    for (const line of this.lines.values()) {
      i += 2;
      if (line.hidden) continue;
      const column = u.data[this.evens(line) ? i : i - 1];
      const index = nearest(column, idx);
      const value = index === null ? null : column[index];
      if (typeof value === "number")
        rows.push(
          h(
            "tr",
            null,
            h("th", { scope: "row" }, stroke(line), line.label),
            h("td", null, this.format(value)),
          ),
        );
    }
    fill(
      this.tip,
      h("div", { class: "faint" }, `${X_NAMES[x]} ${xText(u.data[0][idx], x)}`),
      h("table", null, h("tbody", null, rows)),
    );
    this.tip.hidden = false;
    const width = this.place.clientWidth;
    const edge = u.over.offsetLeft + left;
    const own = this.tip.offsetWidth;
    this.tip.style.left = `${edge + own + 18 < width ? edge + 14 : Math.max(0, edge - own - 14)}px`;
    this.tip.style.top = `${Math.max(0, Math.min(top - 10, this.place.clientHeight - this.tip.offsetHeight))}px`;
  }

  /** @param {uPlot} u */
  selected(u) {
    const { left, width } = u.select;
    if (width < 4) return;
    const range = /** @type {[number, number]} */ ([
      u.posToVal(left, "x"),
      u.posToVal(left + width, "x"),
    ]);
    u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    this.group.zoom(range);
  }

  /** @param {HTMLElement} button */
  async more(button) {
    const { openMenu } = await import("./chart_menu.js");
    openMenu(this, button);
  }
}

// ---------------------------------------------------------------------- helpers

/** @param {Line} line @param {X} x @returns {(number|null)[]} */
function xsOf(line, x) {
  if (x === "iter") return line.points.iter;
  if (x === "epoch") return line.points.epoch;
  const start = Number.isFinite(line.start) ? line.start : (line.points.time[0] ?? 0);
  return line.points.time.map((time) => time - start);
}

/** The first and the last x of a line. @param {Line} line @param {X} x @returns {[number|null, number|null]} */
function ends(line, x) {
  const { iter, epoch, time } = line.points;
  const last = line.points.length - 1;
  if (x === "iter") return [iter[0], iter[last]];
  if (x === "epoch") return [epoch[0], epoch[last]];
  const start = Number.isFinite(line.start) ? line.start : time[0];
  return [time[0] - start, time[last] - start];
}

/**
 * Without the points that do not go on to the right, which uPlot cannot draw.
 * @param {(number|null)[]} xs
 * @param {(number|null)[]} raw
 * @param {(number|null)[]} even
 * @returns {uPlot.AlignedData}
 */
function ascending(xs, raw, even) {
  let last = -Infinity;
  /** @type {number[]} */
  const kept = [];
  for (let i = 0; i < xs.length; i++) {
    const x = xs[i];
    if (x !== null && x > last) {
      kept.push(i);
      last = x;
    }
  }
  const all = kept.length === xs.length;
  const pick = (/** @type {(number|null)[]} */ list) => (all ? list : kept.map((i) => list[i]));
  return [/** @type {number[]} */ (pick(xs)), pick(raw), pick(even)];
}

/** The index at or next to `at` where a column has a number. @param {ArrayLike<number|null|undefined>} column @param {number} at @returns {number|null} */
function nearest(column, at) {
  for (let step = 0; step < column.length; step++) {
    const before = column[at - step];
    if (before !== null && before !== undefined) return at - step;
    const after = column[at + step];
    if (after !== null && after !== undefined) return at + step;
    if (at - step < 0 && at + step >= column.length) return null;
  }
  return null;
}

/** Whether the points of a line stand far enough apart to be marked. @param {uPlot} u @param {number} i @param {number} from @param {number} to @param {boolean} dots */
function sparse(u, i, from, to, dots) {
  const column = u.data[i];
  let count = 0;
  for (let k = from; k <= to; k++) if (column[k] !== null && column[k] !== undefined) count += 1;
  return count * (dots ? 10 : 24) < u.over.clientWidth;
}

/** @param {number} value @param {X} x */
function xText(value, x) {
  if (x === "time") return value < 100 ? `${Number(value.toFixed(1))} s` : duration(value);
  return x === "epoch" ? num(value, 3) : whole(value);
}
