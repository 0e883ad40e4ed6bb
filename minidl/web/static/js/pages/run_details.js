// What a run is and was: its command, notes and tags, history, the machine, what belongs to it.

import { get, jobUrl, patch, path } from "../lib/api.js";
import { fill, h, later, say } from "../lib/dom.js";
import { bytes, duration, moment, num, percent, whole } from "../lib/format.js";
import { icon } from "../lib/icons.js";
import { badge, commandBox, doing, stateWord } from "../lib/job.js";

/** @typedef {import("./run_model.js").RunModel} RunModel */
/** @typedef {import("../lib/types.js").Job} Job */

const EVERY_MS = 3000; // between two looks at the machine, while the run works and is looked at

/** @param {HTMLElement} panel @param {RunModel} run */
export function show(panel, run) {
  const machine = h("dl", { class: "kv" });
  const history = h("ol", { class: "history" });
  const drawHistory = () => fill(history, changes(run.job));
  drawHistory();
  run.on("job", later(400, drawHistory));
  const { job, start } = run;
  fill(
    panel,
    h(
      "div",
      { class: "side" },
      h(
        "div",
        { class: "stack" },
        job.command &&
          card(
            "The same in a terminal",
            commandBox(job.command),
            h("p", { class: "small faint wrap" }, "Run in ", h("code", null, job.cwd)),
          ),
        !job.adopted && card("Notes", notes(job)),
        !job.adopted && card("Tags", tags(job)),
        card(
          "Training",
          facts([
            ["Net", start.net],
            ["Solver", start.type],
            ["Iterations", start.max_iter && whole(start.max_iter)],
            [
              "Batch",
              start.batch_size &&
                (start.iter_size > 1
                  ? `${start.batch_size} × ${start.iter_size}`
                  : start.batch_size),
            ],
            ["Iterations an epoch", start.epoch_iters && num(start.epoch_iters)],
            ["Records", start.data && whole(start.data)],
            ["Seed", start.seed],
            ["Tests every", start.test_interval && `${whole(start.test_interval)} iterations`],
          ]),
        ),
      ),
      h(
        "div",
        { class: "stack" },
        card("History", history),
        card("Machine", machine),
        card("Belongs to", related(job)),
        card("Versions", facts(Object.entries(job.versions))),
      ),
    ),
  );
  let timer = 0;
  const look = async () => {
    clearTimeout(timer);
    drawMachine(machine, job, await get("system").catch(() => null));
    if (job.state === "running" && !document.hidden && !panel.hidden)
      timer = window.setTimeout(look, EVERY_MS);
  };
  look();
  return { leave: () => clearTimeout(timer), back: look };
}

/** @param {string} title @param {...(Node|null|false)} content */
const card = (title, ...content) =>
  h("section", { class: "card" }, h("div", { class: "card-head" }, h("h2", null, title)), content);

/** @param {[string, any][]} rows */
function facts(rows) {
  const known = rows.filter(
    ([, value]) => value !== undefined && value !== null && value !== "" && value !== 0,
  );
  if (!known.length) return h("p", { class: "faint small" }, "Not known");
  return h(
    "dl",
    { class: "kv" },
    known.flatMap(([name, value]) => [
      h("dt", null, name),
      h("dd", null, value instanceof Node ? value : String(value)),
    ]),
  );
}

/** The states of a run, newest first, and how long each lasted. @param {Job} job */
function changes(job) {
  const rows = job.history.map(([state, time], i) => {
    const next = job.history[i + 1]?.[1];
    return h(
      "li",
      null,
      badge(/** @type {any} */ (state)),
      h(
        "span",
        { class: "small faint" },
        moment(time),
        next ? ` · for ${duration(next - time)}` : "",
      ),
    );
  });
  if (job.state === "interrupted")
    rows.push(
      h(
        "li",
        null,
        badge("interrupted"),
        h("span", { class: "small faint" }, "its process is gone"),
      ),
    );
  return rows.reverse();
}

/** @param {HTMLElement} place @param {Job} job @param {any} system */
function drawMachine(place, job, system) {
  /** @type {[string, string][]} */
  const rows = [];
  if (job.status?.pid)
    rows.push(["Process", `${job.status.pid} (${stateWord(job.state).toLowerCase()})`]);
  if (job.memory) rows.push(["Its memory", bytes(job.memory)]);
  if (system?.cpu)
    rows.push([
      "Processors",
      `${system.cpu.count}${system.cpu.used === null ? "" : `, ${percent(system.cpu.used, 0)} used`}`,
    ]);
  if (system?.memory)
    rows.push([
      "Memory",
      `${bytes(system.memory.total - system.memory.free)} of ${bytes(system.memory.total)}`,
    ]);
  for (const gpu of system?.gpus ?? []) {
    rows.push([
      `GPU ${gpu.index}`,
      `${gpu.name}, ${bytes(gpu.memory.used)} of ${bytes(gpu.memory.total)}${gpu.used === null ? "" : `, ${percent(gpu.used, 0)} used`}${gpu.temperature === null ? "" : `, ${gpu.temperature} °C`}`,
    ]);
  }
  fill(
    place,
    rows.flatMap(([name, value]) => [h("dt", null, name), h("dd", null, value)]),
  );
}

/** @param {Job} job */
function related(job) {
  const link = (/** @type {string} */ id) => h("a", { href: jobUrl(id) }, id);
  /** @type {Record<string, string>} */
  const roles = { data: "Dataset", weights: "Weights from", run: "Run" };
  return facts([
    ["Folder", h("code", { class: "wrap" }, job.folder ?? job.id)],
    ...Object.entries(job.parents ?? {}).map(
      ([role, id]) => /** @type {[string, any]} */ ([roles[role] ?? role, link(id)]),
    ),
    [
      "Made from it",
      job.dependants.length
        ? h(
            "ul",
            { class: "stack tight" },
            job.dependants.map((id) => h("li", null, link(id))),
          )
        : null,
    ],
  ]);
}

/** A text that saves itself. @param {Job} job */
function notes(job) {
  const state = h("p", { class: "small faint", role: "status" }, "\u00a0");
  const keep = later(700, async () => {
    say(state, "Saving");
    const done = await doing(() => patch(`job/${path(job.id)}`, { notes: text.value }));
    if (done) job.notes = text.value;
    say(state, done ? "Saved" : "Not saved");
  });
  const text = h("textarea", {
    rows: 5,
    value: job.notes,
    "aria-label": "Notes",
    placeholder: "What is this run for, and what came out of it?",
    oninput: keep,
  });
  return h("div", { class: "stack tight" }, text, state);
}

/** @param {Job} job */
function tags(job) {
  const list = h("div", { class: "row" });
  const save = async (/** @type {string[]} */ now) => {
    if (await doing(() => patch(`job/${path(job.id)}`, { tags: now }))) {
      job.tags = now;
      draw();
    }
  };
  const input = h("input", { type: "text", placeholder: "New tag", "aria-label": "New tag" });
  const add = (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    const tag = input.value.trim();
    input.value = "";
    if (tag && !job.tags.includes(tag)) save([...job.tags, tag]);
  };
  const draw = () =>
    fill(
      list,
      job.tags.map((tag) =>
        h(
          "span",
          { class: "tag" },
          tag,
          h(
            "button",
            {
              class: "x",
              type: "button",
              "aria-label": `Remove the tag ${tag}`,
              onclick: () => save(job.tags.filter((one) => one !== tag)),
            },
            icon("x"),
          ),
        ),
      ),
    );
  draw();
  return h(
    "div",
    { class: "stack" },
    list,
    h(
      "form",
      { class: "row", onsubmit: add },
      h("div", { class: "grow" }, input),
      h("button", { class: "btn", type: "submit" }, "Add"),
    ),
  );
}
