// How jobs look and what can be done to them, on every page the same.
//
//   badge(job.state)    sparkline(job.spark, {wide, label})    bar(job)    (progress)
//   eta(job) "3 min left"    about(job) "120 / 500 iterations"    speed(job)    busy(job)
//   headline(job)  [name, value] of the figure that says most    alarms(job)
//   act.stop(job)  .afterEpoch  .pause  .abort  .resume  .trash(jobs, details)  .rename  .regroup
//     each asks where something is lost, tells what happened, and resolves to whether it was done
//   commandBox(commands)    a box with commands to copy    copy(text)

import { get, jobUrl, patch, path, post, ApiError } from "./api.js";
import { ask, askText, toast, toastError } from "./dialog.js";
import { fill, h, s } from "./dom.js";
import { duration, figure, isAccuracy, left, num, percent, plural, whole } from "./format.js";
import { icon } from "./icons.js";

/** @typedef {import("./types.js").Summary} Summary */
/** @typedef {import("./types.js").State} State */

/** @type {Record<State, [string, string]>} its drawing and its word */
const STATES = {
  running: ["turn", "Running"],
  waiting: ["clock", "Waiting"],
  paused: ["pause", "Paused"],
  done: ["check", "Done"],
  stopped: ["stop", "Stopped"],
  aborted: ["ban", "Aborted"],
  failed: ["alert", "Failed"],
  interrupted: ["bolt", "Interrupted"],
};

/** @type {Record<string, string>} */
export const KINDS = {
  train: "Run",
  dataset: "Dataset",
  evaluate: "Evaluation",
  show: "Inspection",
};

/** @param {State} state @returns {string} */
export const stateWord = (state) => STATES[state]?.[1] ?? state;

/** @param {State} state */
export function badge(state) {
  const [drawing, word] = STATES[state] ?? ["info", state];
  return h("span", { class: "badge", data: { state } }, icon(drawing), word);
}

/** How many alarms a run has raised; null without one. @param {Summary} job */
export const alarms = (job) =>
  job.alarms
    ? h(
        "span",
        { class: "badge", data: { state: "waiting" } },
        icon("alert"),
        plural(job.alarms, "alarm"),
      )
    : null;

/** @param {Summary} job */
export const busy = (job) => job.state === "running" || job.state === "waiting";

/** @param {Summary} job */
export function bar(job) {
  const known = job.total > 0;
  const share = known ? Math.min(1, job.done / job.total) : 0;
  return h(
    "progress",
    { max: 1, value: share, "aria-label": `Progress of ${job.name}` },
    percent(share, 0),
  );
}

/** @param {Summary} job */
export function about(job) {
  if (!job.total) return job.done ? `${whole(job.done)} ${job.unit}` : "";
  return `${whole(job.done)} / ${whole(job.total)} ${job.unit}`;
}

/** @param {Summary} job */
export const eta = (job) => (job.state === "running" ? left(job.eta) : "");

/** @param {Summary} job */
export function speed(job) {
  const images = job.metrics?.["images/s"]?.last;
  if (images) return `${figure("images/s", images)} images/s`;
  return job.rate ? `${num(job.rate, 3)} ${job.unit || "steps"}/s` : "";
}

/** The one figure that says most of a job, [its name, value]: an accuracy, else a loss. @param {Summary} job @returns {[string, number]|null} */
export function headline(job) {
  const known = Object.entries(job.metrics ?? {}).filter(
    ([, metric]) => typeof metric.last === "number",
  );
  const order = [
    (/** @type {string} */ name) => name.startsWith("test") && isAccuracy(name),
    (/** @type {string} */ name) => isAccuracy(name),
    (/** @type {string} */ name) => name.startsWith("test") && /loss/i.test(name),
    (/** @type {string} */ name) => /loss/i.test(name),
  ];
  for (const fits of order) {
    const found = known.find(([name]) => fits(name));
    if (found) return [found[0], /** @type {number} */ (found[1].last)];
  }
  return null;
}

/**
 * @param {(number|null)[]|undefined} values
 * @param {{wide?: boolean}} [options]
 */
export function sparkline(values, options = {}) {
  const made = s("svg", {
    class: options.wide ? "spark wide" : "spark",
    viewBox: "0 0 100 24",
    preserveAspectRatio: "none",
    "aria-hidden": "true",
  });
  const known = (values ?? []).filter((value) => value !== null && Number.isFinite(value));
  if (!values || known.length < 2) return made;
  const low = Math.min(.../** @type {number[]} */ (known));
  const high = Math.max(.../** @type {number[]} */ (known));
  const step = 100 / (values.length - 1);
  const points = values.flatMap((value, i) =>
    value === null || !Number.isFinite(value)
      ? []
      : [`${(i * step).toFixed(1)} ${(22 - (20 * (value - low)) / (high - low || 1)).toFixed(1)}`],
  );
  const line = `M${points.join("L")}`;
  if (options.wide) made.append(s("path", { class: "under", d: `${line}V24H0Z` }));
  made.append(s("path", { d: line }));
  return made;
}

// ---------------------------------------------------------------------- what can be done

/** @param {() => Promise<any>} work @param {string} [done] @returns {Promise<boolean>} */
export async function doing(work, done) {
  try {
    await work();
    if (done) toast(done, "good");
    return true;
  } catch (error) {
    toastError(error);
    return false;
  }
}

/** @param {string} id @param {string} how */
const stopped = (id, how) => post(`stop/${path(id)}`, { how });

export const act = {
  /** @param {Summary} job */
  stop: (job) => doing(() => stopped(job.id, "stop"), `${job.name} writes a snapshot and stops`),

  /** @param {Summary} job */
  afterEpoch: (job) =>
    doing(() => stopped(job.id, "after-epoch"), `${job.name} stops when this epoch ends`),

  /** @param {Summary} job */
  pause: (job) => doing(() => stopped(job.id, "pause"), `${job.name} is paused`),

  /** @param {...Summary} jobs */
  async abort(...jobs) {
    const names = jobs.length === 1 ? jobs[0].name : plural(jobs.length, "job");
    const sure = await ask({
      title: `Abort ${names}?`,
      body:
        "The process is killed at once, without a last snapshot. What is written stays whole, " +
        "and a run can be resumed from its newest snapshot.",
      action: "Abort",
      danger: true,
    });
    const all = () => Promise.all(jobs.map((job) => stopped(job.id, "abort")));
    return sure && doing(all, `Aborted: ${names}`);
  },

  /** @param {Summary} job */
  resume: (job) => doing(() => post(`resume/${path(job.id)}`), `${job.name} goes on`),

  /** @param {Summary} job */
  async rename(job) {
    const name = await askText({
      title: "Rename",
      label: "Name",
      value: job.name,
      action: "Rename",
      required: true,
    });
    return !!name && doing(() => patch(`job/${path(job.id)}`, { name }));
  },

  /** @param {Summary[]} jobs */
  async regroup(jobs) {
    const group = await askText({
      title: `Group of ${plural(jobs.length, "job")}`,
      label: "Group",
      value: jobs[0]?.group ?? "",
      action: "Set",
      hint: "Empty: without a group.",
    });
    if (group === null) return false;
    return doing(() => Promise.all(jobs.map((job) => patch(`job/${path(job.id)}`, { group }))));
  },

  /** Move jobs to the trash, naming what was made from them. @param {Summary[]} jobs */
  async trash(jobs) {
    const dependants = await needed(jobs);
    const names = jobs.length === 1 ? jobs[0].name : plural(jobs.length, "job");
    const running = jobs.filter((job) => job.state === "running");
    if (running.length) {
      toast(`${running.map((job) => job.name).join(", ")}: at work. Stop it first.`, "bad");
      return false;
    }
    if (dependants.length) {
      const list = h(
        "ul",
        { class: "stack tight" },
        dependants.map((id) => h("li", null, h("a", { href: jobUrl(id) }, id))),
      );
      await ask({
        title: `${names} cannot be deleted`,
        body: [
          h(
            "p",
            null,
            `${plural(dependants.length, "job")} ${dependants.length === 1 ? "was" : "were"} made from it. Delete first:`,
          ),
          list,
        ],
        action: "I see",
        cancel: "Close",
      });
      return false;
    }
    const sure = await ask({
      title: `Delete ${names}?`,
      body: "The folder moves to the trash of this root, .minidl/trash, from where it can be taken back.",
      action: "Delete",
      danger: true,
    });
    if (!sure) return false;
    /** @type {string[]} */
    const gone = [];
    const done = await doing(async () => {
      for (const job of jobs) gone.push((await post(`trash/${path(job.id)}`)).trash);
    });
    const back = () =>
      doing(() => Promise.all(gone.map((one) => post("restore", { trash: one }))), "It is back");
    if (gone.length) toast(`${names} moved to the trash`, "good", { text: "Undo", act: back });
    return done;
  },
};

/** Jobs outside of `jobs` that were made from them. @param {Summary[]} jobs @returns {Promise<string[]>} */
async function needed(jobs) {
  const own = new Set(jobs.map((job) => job.id));
  try {
    const all = await Promise.all(jobs.slice(0, 50).map((job) => get(`job/${path(job.id)}`)));
    return [...new Set(all.flatMap((job) => job.dependants ?? []))].filter((id) => !own.has(id));
  } catch (error) {
    if (error instanceof ApiError && error.body?.dependants) return error.body.dependants;
    return [];
  }
}

// ---------------------------------------------------------------------- commands

/** @param {string} text */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    toast("Copied", "good");
  } catch {
    toast("This browser does not let pages copy; choose the text and copy it.", "bad");
  }
}

/**
 * A box with commands; `set(commands)` on it replaces them.
 * @param {string|string[]} commands
 * @param {string} [label]
 */
export function commandBox(commands, label = "The same in a terminal") {
  const text = h("pre", { tabindex: "0", role: "group", "aria-label": label });
  let lines = [commands].flat();
  const button = h(
    "button",
    {
      class: "btn quiet icon small",
      type: "button",
      "aria-label": "Copy the command",
      title: "Copy",
      onclick: () => copy(lines.join("\n")),
    },
    icon("copy"),
  );
  const node = h("div", { class: "cmd" }, text, button);
  const set = (/** @type {string|string[]} */ now) => {
    lines = [now].flat();
    fill(
      text,
      lines.map((line) => h("span", null, line)),
    );
  };
  set(lines);
  return Object.assign(node, { set });
}

/** The time a job took or takes. @param {Summary} job */
export const elapsed = (job) => (job.elapsed ? duration(job.elapsed) : "");
