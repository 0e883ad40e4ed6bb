// A line of a chart as numbers: it grows at its end, and is thinned when it gets long.
//
//   const line = new Points();  line.set(series)  line.push(iter, time, epoch, value)
//   line.rewind(iter)  line.splice(finer)    smooth(values, 0.9)    extremes(values, 1500)
//   figures(event)  (a line of events.jsonl)    family("test accuracy")

import { isAccuracy } from "./format.js";

/** @typedef {import("./types.js").Series} Series */

const MOST = 3200; // points of a line before it is thinned to half

export class Points {
  constructor() {
    /** @type {number[]} */
    this.iter = [];
    /** @type {number[]} seconds since 1970 */
    this.time = [];
    /** @type {(number|null)[]} */
    this.epoch = [];
    /** @type {(number|null)[]} */
    this.value = [];
  }

  /** @param {Series} series */
  set(series) {
    this.iter = series.iter.slice();
    this.time = series.time.map((time) => time ?? NaN);
    this.epoch = epochsOf(series);
    this.value = series.value.slice();
    if (!ascends(this.iter)) this.sortOut();
  }

  /** A run that was resumed repeats iterations: what came later counts. */
  sortOut() {
    const { iter, time, epoch, value } = this;
    [this.iter, this.time, this.epoch, this.value] = [[], [], [], []];
    iter.forEach((at, i) => this.push(at, time[i], epoch[i], value[i]));
  }

  /** @param {number} iter @param {number} time @param {number|null} epoch @param {number|null} value */
  push(iter, time, epoch, value) {
    while (this.iter.length && this.iter[this.iter.length - 1] >= iter) {
      for (const list of [this.iter, this.time, this.epoch, this.value]) list.pop();
    }
    this.iter.push(iter);
    this.time.push(time);
    this.epoch.push(epoch);
    this.value.push(value);
    if (this.iter.length > MOST) this.thin(MOST / 2);
  }

  /** Forget what came after an iteration. @param {number} iter */
  rewind(iter) {
    let size = this.iter.length;
    while (size && this.iter[size - 1] > iter) size -= 1;
    for (const list of [this.iter, this.time, this.epoch, this.value]) list.length = size;
  }

  /** Put finer points in place of those between its ends. @param {Series} fine */
  splice(fine) {
    if (!fine.iter.length) return;
    const from = this.iter.findIndex((iter) => iter >= fine.iter[0]);
    const after = this.iter.findIndex((iter) => iter > fine.iter[fine.iter.length - 1]);
    const start = from < 0 ? this.iter.length : from;
    const count = (after < 0 ? this.iter.length : after) - start;
    this.iter.splice(start, count, ...fine.iter);
    this.time.splice(start, count, ...fine.time.map((time) => time ?? NaN));
    this.epoch.splice(start, count, ...epochsOf(fine));
    this.value.splice(start, count, ...fine.value);
    if (this.length > 4 * MOST) this.thin(MOST);
  }

  /** Keep the least and the greatest of every stretch. @param {number} points */
  thin(points) {
    const kept = extremes(this.value, points);
    this.iter = kept.map((i) => this.iter[i]);
    this.time = kept.map((i) => this.time[i]);
    this.epoch = kept.map((i) => this.epoch[i]);
    this.value = kept.map((i) => this.value[i]);
  }

  get length() {
    return this.iter.length;
  }

  /** The last number. @returns {number|null} */
  get last() {
    for (let i = this.value.length - 1; i >= 0; i--)
      if (this.value[i] !== null) return this.value[i];
    return null;
  }
}

/** Runs that do not know their epochs have none. @param {Series} series @returns {(number|null)[]} */
const epochsOf = (series) => series.epoch?.slice() ?? series.iter.map(() => null);

/** @param {number[]} list */
function ascends(list) {
  for (let i = 1; i < list.length; i++) if (list[i] <= list[i - 1]) return false;
  return true;
}

/** Indices of the least and the greatest value of `points`/2 equal stretches, and both ends. @param {(number|null)[]} values @param {number} points */
export function extremes(values, points) {
  const size = values.length;
  if (size <= points) return values.map((_, i) => i);
  const stretches = Math.max(1, Math.floor(points / 2) - 1);
  const kept = [0];
  for (let stretch = 0; stretch < stretches; stretch++) {
    const from = 1 + Math.floor((stretch * (size - 2)) / stretches);
    const to = 1 + Math.floor(((stretch + 1) * (size - 2)) / stretches);
    let low = from;
    let high = from;
    let gap = -1;
    for (let i = from; i < to; i++) {
      const value = values[i];
      if (value === null) {
        gap = i;
        continue;
      }
      if (values[low] === null || value < /** @type {number} */ (values[low])) low = i;
      if (values[high] === null || value > /** @type {number} */ (values[high])) high = i;
    }
    kept.push(...[...new Set([low, high, ...(gap >= 0 ? [gap] : [])])].sort((a, b) => a - b));
  }
  kept.push(size - 1);
  return kept;
}

/**
 * Exponential moving average without the pull towards zero at its start.
 * @param {(number|null)[]} values
 * @param {number} weight 0 (nothing is smoothed) to below 1
 * @returns {(number|null)[]}
 */
export function smooth(values, weight) {
  let sum = 0;
  let mass = 0;
  return values.map((value) => {
    if (value === null) return null;
    sum = weight * sum + (1 - weight) * value;
    mass = weight * mass + (1 - weight);
    return sum / mass;
  });
}

/**
 * The figures that one line of events.jsonl brings, by the names that the server has for them.
 * @param {Record<string, any>} event
 * @returns {[string, number|null][]}
 */
export function figures(event) {
  const outputs = Object.entries(event.outputs ?? {}).flatMap(([name, value]) =>
    flat(value).map(
      (one, i) => /** @type {[string, number|null]} */ ([i ? `${name}[${i}]` : name, one]),
    ),
  );
  /** @type {[string, number|null][]} */
  const found = [];
  if (event.event === "display") {
    found.push(["train loss", event.loss ?? null]);
    if (!event.final) {
      found.push(["lr", event.lr ?? null]);
      for (const [name, value] of outputs)
        found.push([name === "loss" ? "train loss (batch)" : `train ${name}`, value]);
    }
    if (event.images && event.seconds) found.push(["images/s", event.images / event.seconds]);
  } else if (event.event === "test") {
    const test = event.net ? `test#${event.net}` : "test";
    if ("loss" in event && !("loss" in (event.outputs ?? {})))
      found.push([`${test} loss`, event.loss ?? null]);
    for (const [name, value] of outputs) found.push([`${test} ${name}`, value]);
  }
  return found;
}

/** @param {any} value @returns {(number|null)[]} */
const flat = (value) =>
  Array.isArray(value) ? value.flatMap(flat) : [typeof value === "number" ? value : null];

/** Which chart a figure belongs to. @param {string} name */
export function family(name) {
  if (name === "lr") return "rate";
  if (name === "images/s") return "speed";
  if (isAccuracy(name)) return "accuracy";
  if (/loss/i.test(name)) return "loss";
  return "other";
}
