// What a page lets its user keep: a table as CSV, a text, a picture.
//
//   save("runs.csv", csv([["name", "loss"], ["lenet", 0.1]]))    save("loss.png", blob)

import { h } from "./dom.js";

/** @typedef {string|number|null|undefined} Value */

/** Lines of values as CSV. @param {Value[][]} lines */
export function csv(lines) {
  const quote = (/** @type {Value} */ value) => {
    const text = value === null || value === undefined ? "" : String(value);
    return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return `${lines.map((line) => line.map(quote).join(",")).join("\n")}\n`;
}

/** Let the browser save a text or a picture. @param {string} name @param {string|Blob} content @param {string} [type] */
export function save(name, content, type = "text/csv") {
  const url = URL.createObjectURL(
    content instanceof Blob ? content : new Blob([content], { type }),
  );
  const link = h("a", { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
