// All jobs: those at work as cards, below them runs, datasets and evaluations in tables, all live.

import { get } from "../lib/api.js";
import { byId, fill, frame, say } from "../lib/dom.js";
import { plural } from "../lib/format.js";
import { failed } from "../lib/states.js";
import { listen } from "../lib/stream.js";
import { Tabs } from "../lib/tabs.js";
import { JobList, LISTS, view } from "./home_list.js";
import { drawRunning } from "./home_running.js";
import { welcome } from "./home_welcome.js";

/** @typedef {import("../lib/types.js").Summary} Summary */

/** @type {Map<string, Summary>} */
const jobs = new Map();
/** @type {Map<string, JobList>} */
const lists = new Map();
/** @type {Tabs|null} */
let tabs = null;
let root = "";

async function start() {
  try {
    const found = await get("jobs");
    root = found.root ?? "";
    for (const job of found.jobs) jobs.set(job.id, job);
    drawPage();
    listen("events", { job: put, gone: drop, again: refresh });
  } catch (error) {
    fill(byId("jobs"), failed(error, start));
  }
}

function drawPage() {
  const host = byId("jobs");
  lists.clear();
  tabs = null;
  host.classList.toggle("section", jobs.size > 0);
  if (!jobs.size) fill(host, welcome());
  else {
    const parts = LISTS.map((list) => ({
      id: list.id,
      label: list.label,
      count: 0,
      show: (/** @type {HTMLElement} */ panel) => {
        lists.set(list.id, new JobList(list, jobs, panel));
      },
    }));
    tabs = new Tabs(host, parts, {
      label: "Kinds of jobs",
      chosen: view.get("tab"),
      onchange: (id) => view.set("tab", id, true),
    });
  }
  drawTop();
}

/** What is not in a table: cards, counts. */
function drawTop() {
  const all = [...jobs.values()];
  drawRunning(all);
  const kinds = (/** @type {string[]} */ some) => all.filter((job) => some.includes(job.kind));
  for (const list of LISTS) tabs?.count(list.id, kinds(list.kinds).length);
  const words = [
    plural(kinds(["train"]).length, "run"),
    plural(kinds(["dataset"]).length, "dataset"),
  ];
  const count = (/** @type {string} */ state) => all.filter((job) => job.state === state).length;
  if (count("running")) words.push(`${count("running")} at work`);
  if (count("waiting")) words.push(`${count("waiting")} waiting`);
  say(byId("summary"), `${root} · ${words.join(" · ")}`);
}

const drawTopSoon = frame(drawTop);

/** @param {Summary} job */
function put(job) {
  jobs.set(job.id, job);
  if (!tabs) return drawPage();
  for (const list of lists.values()) list.put(job);
  drawTopSoon();
}

/** @param {string} id */
function drop(id) {
  jobs.delete(id);
  for (const list of lists.values()) list.table.drop(id);
  if (!jobs.size) drawPage();
  drawTopSoon();
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
  for (const list of lists.values()) list.refilter();
});

document.addEventListener("keydown", (event) => {
  const target = /** @type {HTMLElement} */ (event.target);
  if (event.key !== "/" || target.matches("input, textarea, select")) return;
  event.preventDefault();
  lists.get(view.get("tab"))?.words?.focus();
});

start();
