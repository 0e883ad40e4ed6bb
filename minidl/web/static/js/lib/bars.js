// Horizontal bars: one for each class, in parts that are stacked, as many as there are.
//
//   bars([{label: "cat", parts: [120, 40]}, ...], {names: ["train", "val"], label: "Classes",
//         link: (row) => "/explore/..."})
//   histogram(counts, edges)    a small one with upright bars

import { h, s } from "./dom.js";
import { num, plural, whole } from "./format.js";

/** @typedef {{label: string, parts: number[]}} Row */

const FIRST = 200; // rows that are drawn at once

/**
 * @param {Row[]} rows
 * @param {{names?: string[], label: string, link?: (row: Row, at: number) => string}} options
 */
export function bars(rows, options) {
  const most = Math.max(1, ...rows.map((row) => sum(row.parts)));
  const list = h("ul", { class: "bars", "aria-label": options.label, tabindex: "0" });
  const draw = (/** @type {number} */ from, /** @type {number} */ to) =>
    list.append(...rows.slice(from, to).map((row, i) => line(row, most, options, from + i)));
  draw(0, FIRST);
  if (rows.length > FIRST) {
    let shown = FIRST;
    list.addEventListener("scroll", () => {
      if (shown < rows.length && list.scrollTop + list.clientHeight * 2 > list.scrollHeight) {
        draw(shown, shown + FIRST);
        shown += FIRST;
      }
    });
  }
  const names = options.names ?? [];
  return h(
    "div",
    { class: "stack tight" },
    names.length > 1 &&
      h(
        "ul",
        { class: "row small muted" },
        names.map((name, i) =>
          h("li", { class: "row key" }, h("span", { class: `swatch part-${i + 1}` }), name),
        ),
      ),
    list,
  );
}

/** @param {Row} row @param {number} most @param {{names?: string[], link?: (row: Row, at: number) => string}} options @param {number} at */
function line(row, most, options, at) {
  const all = sum(row.parts);
  const names = options.names ?? [];
  const said =
    names.length > 1 ? names.map((name, i) => `${name} ${whole(row.parts[i])}`).join(", ") : "";
  const link = options.link?.(row, at);
  return h(
    "li",
    { title: said || null },
    link
      ? h("a", { class: "clip", href: link, title: row.label }, row.label)
      : h("span", { class: "clip", title: row.label }, row.label),
    h(
      "span",
      { class: "bar", "aria-hidden": "true" },
      row.parts.map((part, i) =>
        h("i", { class: `part-${i + 1}`, style: { width: `${(100 * part) / most}%` } }),
      ),
    ),
    h("span", { class: "num small" }, whole(all), said && h("span", { class: "sr" }, `: ${said}`)),
  );
}

/** @param {number[]} values */
const sum = (values) => values.reduce((a, b) => a + b, 0);

/** @param {number[]} counts @param {[number, number]|number[]} edges */
export function histogram(counts, edges) {
  const most = Math.max(1, ...counts);
  const step = 100 / counts.length;
  return h(
    "div",
    {
      class: "hist",
      role: "img",
      "aria-label": `Histogram of ${plural(sum(counts), "value")} from ${num(edges[0])} to ${num(edges[1])}`,
    },
    s(
      "svg",
      { viewBox: "0 0 100 32", preserveAspectRatio: "none", "aria-hidden": "true" },
      counts.map((count, i) => {
        const high = count ? Math.max(0.6, (31 * count) / most) : 0;
        return s("rect", {
          x: (i * step + 0.3).toFixed(2),
          y: (32 - high).toFixed(2),
          width: (step - 0.6).toFixed(2),
          height: high.toFixed(2),
        });
      }),
    ),
    h(
      "span",
      { class: "row between small faint", "aria-hidden": "true" },
      h("span", null, num(edges[0], 3)),
      h("span", null, num(edges[1], 3)),
    ),
  );
}
