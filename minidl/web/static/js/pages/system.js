// The machine: its devices and how busy they are, the queue to put in order, disk, trash, versions.

import { get, jobUrl, post, put } from "../lib/api.js";
import { byId, fill, h, keeping, later, say } from "../lib/dom.js";
import { ago, bytes, num, percent, plural } from "../lib/format.js";
import { icon } from "../lib/icons.js";
import { about, act, badge, bar, doing, eta } from "../lib/job.js";
import { empty, failed } from "../lib/states.js";
import { listen } from "../lib/stream.js";
import { Table } from "../lib/table.js";

/** @typedef {import("../lib/types.js").Summary} Summary */

/** @type {Map<string, Summary>} */
const jobs = new Map();

// ---------------------------------------------------------------------- devices

class Devices {
  constructor() {
    this.node = h("div", { class: "grid cols-4" });
  }

  /** @param {any} system */
  draw(system) {
    const cards = [];
    if (system.cpu) {
      const load = system.cpu.load === undefined ? "" : `load ${num(system.cpu.load, 3)}`;
      cards.push(
        gauge(
          "Processors",
          plural(system.cpu.count, "processor"),
          system.cpu.used,
          system.cpu.used === null ? "–" : percent(system.cpu.used, 0),
          load,
        ),
      );
    }
    if (system.memory) {
      const used = system.memory.total - system.memory.free;
      cards.push(
        gauge(
          "Memory",
          `of ${bytes(system.memory.total)}`,
          used / system.memory.total,
          bytes(used),
          `${bytes(system.memory.free)} free`,
        ),
      );
    }
    if (system.disk) {
      const used = system.disk.total - system.disk.free;
      cards.push(
        gauge(
          "Disk",
          `of ${bytes(system.disk.total)}`,
          used / system.disk.total,
          bytes(used),
          `${bytes(system.disk.free)} free`,
        ),
      );
    }
    for (const gpu of system.gpus ?? []) {
      const facts = [
        gpu.used !== null && `${percent(gpu.used, 0)} busy`,
        gpu.temperature !== null && `${gpu.temperature} °C`,
      ].filter(Boolean);
      cards.push(
        gauge(
          `GPU ${gpu.index}`,
          `${gpu.name}, of ${bytes(gpu.memory.total)}`,
          gpu.memory.used / gpu.memory.total,
          bytes(gpu.memory.used),
          facts.join(" · "),
        ),
      );
    }
    if (!(system.gpus ?? []).length)
      cards.push(
        h(
          "section",
          { class: "card stack tight", "aria-label": "GPU" },
          h("h2", null, "GPU"),
          h("p", { class: "muted" }, "None found: jobs run on the processors."),
        ),
      );
    fill(this.node, cards);
  }
}

/** @param {string} title @param {string} of @param {number|null} share @param {string} value @param {string} more */
function gauge(title, of, share, value, more) {
  return h(
    "section",
    { class: "card stack tight", "aria-label": title },
    h("h2", null, title),
    h("p", null, h("b", { class: "gauge" }, value), " ", h("span", { class: "muted" }, of)),
    h("progress", { max: 1, value: share ?? 0, "aria-label": `${title} used` }),
    h("p", { class: "small faint" }, more || "\u00a0"),
  );
}

// ---------------------------------------------------------------------- the queue

class Queue {
  constructor() {
    /** @type {{id: string, why: string}[]} */
    this.waiting = [];
    this.running = h("ul", { class: "queue" });
    this.list = h("ol", { class: "queue" });
    this.said = h("p", { class: "sr", role: "status" });
    this.slots = h("input", {
      type: "number",
      min: 1,
      max: 64,
      "aria-label": "Trainings at a time on the processors",
      onchange: () => this.setSlots(),
    });
    this.node = h(
      "div",
      { class: "stack" },
      h(
        "div",
        { class: "row between" },
        h("h2", null, "Queue"),
        h(
          "label",
          { class: "row small muted" },
          "Trainings at a time on the processors",
          h("span", { class: "slots" }, this.slots),
        ),
      ),
      h("div", { class: "card flush" }, this.running, this.list),
      this.said,
    );
    this.drag = "";
    this.list.addEventListener("dragover", (event) => this.over(event));
    this.list.addEventListener("drop", (event) => event.preventDefault());
  }

  async load() {
    const found = await get("queue");
    this.waiting = found.waiting;
    this.runs = found.running;
    this.draw();
  }

  draw() {
    if (!this.drag) keeping(this.node, () => this.drawRows()); // not under the hand
  }

  drawRows() {
    const running = (this.runs ?? [])
      .map((/** @type {string} */ id) => jobs.get(id))
      .filter(Boolean);
    fill(
      this.running,
      running.map((/** @type {Summary} */ job) =>
        h(
          "li",
          { class: "queue-row", data: { id: job.id } },
          h("span", { class: "queue-place" }, badge("running")),
          h(
            "div",
            { class: "grow stack tight" },
            h("a", { class: "clip", href: jobUrl(job.id) }, job.name),
            bar(job),
            h("p", { class: "small faint" }, [about(job), eta(job)].filter(Boolean).join(" · ")),
          ),
          h(
            "button",
            { class: "btn small", type: "button", onclick: () => act.pause(job) },
            icon("pause"),
            "Pause",
          ),
        ),
      ),
    );
    fill(
      this.list,
      this.waiting.map((one, i) => this.row(one, i)),
    );
    if (!running.length && !this.waiting.length)
      fill(
        this.list,
        h(
          "li",
          null,
          empty({
            icon: "clock",
            title: "Nothing runs or waits",
            text: "Jobs that are started here wait in this queue for a free device.",
          }),
        ),
      );
  }

  /** @param {{id: string, why: string}} one @param {number} i */
  row(one, i) {
    const job = jobs.get(one.id);
    const name = job?.name ?? one.id;
    const move = (/** @type {number} */ by) => this.move(i, i + by, true);
    const handle = h(
      "button",
      {
        class: "btn quiet icon small grip",
        type: "button",
        "aria-label": `Move ${name}: arrow up, arrow down`,
        title: "Drag, or arrow keys",
        onkeydown: (/** @type {KeyboardEvent} */ event) => {
          const by = { ArrowUp: -1, ArrowDown: 1 }[event.key];
          if (!by) return;
          event.preventDefault();
          move(by);
        },
      },
      icon("grip"),
    );
    const row = h(
      "li",
      { class: "queue-row", draggable: "true", data: { id: one.id } },
      handle,
      h("span", { class: "queue-place faint" }, `${i + 1}.`),
      h(
        "div",
        { class: "grow" },
        h("a", { class: "clip", href: jobUrl(one.id) }, name),
        h("p", { class: "small faint" }, one.why ? `waits: ${one.why}` : "waits for its turn"),
      ),
      h(
        "button",
        {
          class: "btn quiet icon small",
          type: "button",
          disabled: i === 0,
          "aria-label": `${name}: earlier`,
          onclick: () => move(-1),
        },
        icon("up"),
      ),
      h(
        "button",
        {
          class: "btn quiet icon small",
          type: "button",
          disabled: i === this.waiting.length - 1,
          "aria-label": `${name}: later`,
          onclick: () => move(1),
        },
        icon("down"),
      ),
      job &&
        h(
          "button",
          {
            class: "btn quiet icon small",
            type: "button",
            "aria-label": `Take ${name} out of the queue`,
            title: "Take out of the queue",
            onclick: async () => (await act.pause(job)) && this.load(),
          },
          icon("x"),
        ),
    );
    row.addEventListener("dragstart", (event) => {
      this.drag = one.id;
      row.classList.add("dragged");
      event.dataTransfer?.setData("text/plain", one.id);
    });
    row.addEventListener("dragend", () => {
      row.classList.remove("dragged");
      this.drag = "";
      this.save(
        [...this.list.children].map((line) => /** @type {HTMLElement} */ (line).dataset.id ?? ""),
      );
    });
    return row;
  }

  /** A row that is dragged goes where the pointer is. @param {DragEvent} event */
  over(event) {
    const dragged = /** @type {HTMLElement|undefined} */ (
      [...this.list.children].find(
        (line) => /** @type {HTMLElement} */ (line).dataset.id === this.drag,
      )
    );
    const line = /** @type {HTMLElement} */ (event.target).closest("li");
    if (!dragged || !line || line === dragged) return;
    event.preventDefault();
    const box = line.getBoundingClientRect();
    if (event.clientY < box.top + box.height / 2) line.before(dragged);
    else line.after(dragged);
  }

  /** @param {number} from @param {number} to @param {boolean} [focus] */
  async move(from, to, focus) {
    if (to < 0 || to >= this.waiting.length) return;
    const [one] = this.waiting.splice(from, 1);
    this.waiting.splice(to, 0, one);
    this.draw();
    say(
      this.said,
      `${jobs.get(one.id)?.name ?? one.id}: place ${to + 1} of ${this.waiting.length}`,
    );
    if (focus)
      /** @type {HTMLElement|null} */ (this.list.children[to].querySelector(".grip"))?.focus();
    await this.save(this.waiting.map((other) => other.id));
  }

  /** @param {string[]} ids */
  async save(ids) {
    this.waiting.sort((a, b) => ids.indexOf(a.id) - ids.indexOf(b.id));
    this.draw();
    if (!(await doing(() => put("queue", { ids })))) await this.load();
  }

  async setSlots() {
    const slots = Number(this.slots.value);
    if (Number.isInteger(slots) && slots > 0)
      await doing(() => put("system", { slots }), `${plural(slots, "training")} at a time`);
  }
}

// ---------------------------------------------------------------------- disk, trash, versions

function diskTable() {
  /** @type {Table<{id: string, bytes: number}>} */
  const table = new Table({
    label: "Disk use",
    key: (row) => row.id,
    sort: "-bytes",
    empty: () => empty({ icon: "folder", title: "No jobs yet" }),
    columns: [
      {
        id: "id",
        label: "Job",
        first: true,
        value: (row) => row.id,
        view: (row) => h("a", { class: "wrap", href: jobUrl(row.id) }, row.id),
      },
      {
        id: "bytes",
        label: "Size",
        num: true,
        value: (row) => row.bytes,
        view: (row) => bytes(row.bytes),
      },
    ],
  });
  return table;
}

/** @param {HTMLElement} place */
async function drawTrash(place) {
  const { trash } = await get("trash");
  const back = async (/** @type {{trash: string, id: string}} */ one) => {
    if (await doing(() => post("restore", { trash: one.trash }), `${one.id} is back`))
      await drawTrash(place);
  };
  fill(
    place,
    trash.length
      ? h(
          "ul",
          { class: "queue" },
          trash.map((/** @type {{trash: string, id: string, time: number}} */ one) =>
            h(
              "li",
              { class: "queue-row" },
              h(
                "div",
                { class: "grow" },
                h("span", { class: "wrap" }, one.id),
                h("p", { class: "small faint" }, ago(one.time)),
              ),
              h(
                "button",
                { class: "btn small", type: "button", onclick: () => back(one) },
                icon("reset"),
                "Restore",
              ),
            ),
          ),
        )
      : h("p", { class: "faint card-pad" }, "Empty"),
  );
}

/** @param {any} system */
function versions(system) {
  const rows = [
    ...Object.entries(system.versions ?? {}),
    ["Root", h("code", { class: "wrap" }, system.root)],
    [
      "Pictures may come from",
      h(
        "span",
        null,
        (system.data_roots ?? []).map((/** @type {string} */ root) =>
          h("code", { class: "wrap block" }, root),
        ),
      ),
    ],
    [
      "Python layers",
      system.allow_python ? "allowed" : "off: start minidl serve with --allow-python",
    ],
  ];
  return h(
    "dl",
    { class: "kv" },
    rows.flatMap(([name, value]) => [h("dt", null, name), h("dd", null, value)]),
  );
}

async function start() {
  try {
    const [system, list] = await Promise.all([get("system"), get("jobs")]);
    for (const job of list.jobs) jobs.set(job.id, job);
    const devices = new Devices();
    const queue = new Queue();
    const disk = diskTable();
    const trash = h("div");
    say(byId("summary"), system.root ?? "");
    queue.slots.value = String(system.slots ?? 1);
    devices.draw(system);
    disk.set(system.disk_use ?? []);
    fill(
      byId("content"),
      devices.node,
      h(
        "div",
        { class: "side section" },
        h(
          "div",
          { class: "stack loose" },
          queue.node,
          h("section", { class: "stack tight" }, h("h2", null, "Disk use"), disk.node),
        ),
        h(
          "div",
          { class: "stack" },
          h(
            "section",
            { class: "card" },
            h("div", { class: "card-head" }, h("h2", null, "Versions")),
            versions(system),
          ),
          h(
            "section",
            { class: "card flush" },
            h("div", { class: "card-head" }, h("h2", null, "Trash")),
            trash,
          ),
        ),
      ),
    );
    await Promise.all([queue.load(), drawTrash(trash)]);
    const reload = later(300, () => queue.load().catch(() => {}));
    listen("events", {
      system: (found) => devices.draw(found),
      job: (job) => {
        const before = jobs.get(job.id);
        jobs.set(job.id, job);
        if (before?.state !== job.state) reload();
        else queue.draw();
      },
      gone: () => reload(),
      again: () => reload(),
    });
  } catch (error) {
    fill(byId("content"), failed(error, start));
  }
}

start();
