// What a net costs, in words: short(1234567) 1.23 M    inWords(totals, layers)

import { bytes, plural, whole } from "./format.js";

/** What a net's figures are, in a line. @param {Record<string, number>} totals @param {number} layers */
export const inWords = (totals, layers) =>
  `${plural(layers, "layer")}, ${short(totals.params)} parameters, ${short(totals.multiply_adds)} multiply-adds, ${bytes(totals.memory_bytes ?? totals.memory)} of memory`;

/** @param {number|null|undefined} value 1234567 is 1.23 M */
export function short(value) {
  if (value === null || value === undefined) return "–";
  const units = ["", " k", " M", " G", " T"];
  let at = 0;
  let left = value;
  while (left >= 9999.5 || (at && left >= 999.5)) {
    left /= 1000;
    at += 1;
  }
  return at ? `${left.toPrecision(3)}${units[at]}` : whole(value);
}
