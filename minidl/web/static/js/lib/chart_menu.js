// The menu of a chart: larger, limits of its axes, its picture, its figures. Loaded when first opened.

import { X_NAMES } from "./chart.js";
import { menu, popover } from "./dialog.js";
import { h } from "./dom.js";
import { csv, save } from "./save.js";
import { colour } from "./theme.js";

/** @typedef {import("./chart.js").Chart} Chart */

/** @param {Chart} chart @param {HTMLElement} button */
export function openMenu(chart, button) {
  const tall = chart.node.classList.contains("tall");
  menu(button, [
    { text: tall ? "Smaller" : "Larger", icon: "chart", act: () => enlarge(chart) },
    { text: "Limits of the axes", icon: "axis", act: () => askLimits(chart, button) },
    null,
    { text: "Save as picture", icon: "image", off: !chart.plot, act: () => savePicture(chart) },
    {
      text: "Save as CSV",
      icon: "download",
      act: () => save(`${chart.options.file}.csv`, asCsv(chart)),
    },
  ]);
}

/** @param {Chart} chart */
function enlarge(chart) {
  const on = chart.node.classList.toggle("tall");
  chart.node.classList.toggle("whole", on);
}

/** @param {Chart} chart @param {HTMLElement} button */
function askLimits(chart, button) {
  const x = chart.plot?.scales.x;
  const y = chart.plot?.scales.y;
  const input = (/** @type {string} */ label, /** @type {number|null|undefined} */ value) =>
    h("input", {
      type: "text",
      inputmode: "decimal",
      "aria-label": label,
      value: value === null || value === undefined ? "" : String(Number(value.toPrecision(6))),
    });
  const boxes = [
    input("Left end", x?.min),
    input("Right end", x?.max),
    input("Lower end", y?.min),
    input("Upper end", y?.max),
  ];
  const pair = (/** @type {string} */ name, /** @type {number} */ i) =>
    h(
      "div",
      { class: "field" },
      h("span", { class: "label" }, name),
      h(
        "div",
        { class: "row" },
        h("div", { class: "grow" }, boxes[i]),
        "to",
        h("div", { class: "grow" }, boxes[i + 1]),
      ),
    );
  const range = (/** @type {number} */ i) => {
    const [a, b] = [boxes[i], boxes[i + 1]].map((box) =>
      box.value.trim() === "" ? NaN : Number(box.value.replace("−", "-")),
    );
    return a < b ? /** @type {[number, number]} */ ([a, b]) : null;
  };
  const apply = (/** @type {Event} */ event) => {
    event.preventDefault();
    chart.limits = range(2);
    chart.group.zoom(range(0));
    shut();
  };
  const all = () => {
    chart.group.reset();
    shut();
  };
  const shut = popover(
    button,
    h(
      "form",
      { class: "stack", onsubmit: apply },
      pair(X_NAMES[chart.group.view.x], 0),
      pair(chart.options.title, 2),
      h(
        "div",
        { class: "btn-row" },
        h("button", { class: "btn primary small", type: "submit" }, "Apply"),
        h("button", { class: "btn small", type: "button", onclick: all }, "Automatic"),
      ),
    ),
    { label: `Limits of ${chart.options.title}` },
  );
}

/** @param {Chart} chart */
function asCsv(chart) {
  /** @type {(string|number|null)[][]} */
  const lines = [["line", "iteration", "epoch", "time", "value"]];
  for (const { label, points } of chart.lines.values()) {
    points.iter.forEach((iter, i) =>
      lines.push([label, iter, points.epoch[i], points.time[i], points.value[i]]),
    );
  }
  return csv(lines);
}

/** @param {Chart} chart */
function savePicture(chart) {
  if (!chart.plot) return;
  const from = chart.plot.ctx.canvas;
  const scale = window.devicePixelRatio || 1;
  const room = 34 * scale;
  const foot = 30 * scale;
  const canvas = h("canvas", {
    width: from.width + 16 * scale,
    height: from.height + room + foot,
  });
  const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  pen.fillStyle = colour("--surface");
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.fillStyle = colour("--ink");
  pen.font = `600 ${14 * scale}px system-ui, sans-serif`;
  pen.fillText(chart.options.title, 14 * scale, 22 * scale);
  pen.drawImage(from, 0, room);
  pen.font = `${12 * scale}px system-ui, sans-serif`;
  let at = 14 * scale;
  for (const line of chart.lines.values()) {
    if (line.hidden) continue;
    pen.strokeStyle = colour(`--c${line.colour}`);
    pen.lineWidth = 2 * scale;
    pen.setLineDash((line.dash ?? []).map((d) => d * scale));
    pen.beginPath();
    pen.moveTo(at, canvas.height - 16 * scale);
    pen.lineTo(at + 20 * scale, canvas.height - 16 * scale);
    pen.stroke();
    pen.fillText(line.label, at + 26 * scale, canvas.height - 12 * scale);
    at += 44 * scale + pen.measureText(line.label).width;
  }
  canvas.toBlob((blob) => blob && save(`${chart.options.file}.png`, blob), "image/png");
}
