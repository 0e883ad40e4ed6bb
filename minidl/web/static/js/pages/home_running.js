// The jobs at work as cards, and those that wait, in a line.

import { jobUrl } from "../lib/api.js";
import { byId, fill, h } from "../lib/dom.js";
import { figure, percent } from "../lib/format.js";
import { about, alarms, badge, bar, eta, headline, sparkline, speed } from "../lib/job.js";

/** @typedef {import("../lib/types.js").Summary} Summary */

const CARDS = 9;
const WAITING = 6; // that are named

/** @type {Map<string, HTMLElement>} */
const cards = new Map();

/** @param {Summary[]} jobs */
export function drawRunning(jobs) {
  const running = jobs.filter((job) => job.state === "running");
  const waiting = jobs.filter((job) => job.state === "waiting");
  byId("running").hidden = !running.length && !waiting.length;
  drawCards(running.sort((a, b) => b.created - a.created).slice(0, CARDS));
  drawWaiting(waiting.sort((a, b) => (a.place ?? 0) - (b.place ?? 0)));
}

/** Cards stay where they are while their figures change. @param {Summary[]} shown */
function drawCards(shown) {
  const place = byId("running-cards");
  for (const [id, node] of cards) {
    if (shown.some((job) => job.id === id)) continue;
    node.remove();
    cards.delete(id);
  }
  shown.forEach((job, i) => {
    const node =
      cards.get(job.id) ?? h("a", { class: "card stack tight job-card", href: jobUrl(job.id) });
    cards.set(job.id, node);
    fill(node, card(job));
    if (place.children[i] !== node) place.insertBefore(node, place.children[i] ?? null);
  });
}

/** @param {Summary[]} waiting */
function drawWaiting(waiting) {
  const rest = waiting.length - WAITING;
  const names = waiting
    .slice(0, WAITING)
    .map((job) => h("a", { class: "tag", href: jobUrl(job.id) }, job.name));
  const more = rest > 0 ? `and ${rest} more: the queue` : "The queue";
  const line = [badge("waiting"), ...names, h("a", { class: "small", href: "/system" }, more)];
  fill(byId("waiting"), waiting.length > 0 && line);
}

/** @param {Summary} job */
function card(job) {
  const found = headline(job);
  const share = job.total ? `${percent(job.done / job.total, 0)} · ` : "";
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
      h("span", null, share + about(job)),
      h("span", null, eta(job)),
    ),
    h(
      "div",
      { class: "row between small faint" },
      h("span", { class: "clip" }, speed(job) || "\u00a0"),
      alarms(job),
    ),
  ];
}
