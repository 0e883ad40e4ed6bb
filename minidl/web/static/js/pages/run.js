// A run: how it goes on top, below it charts, histograms, samples, log, files and details.

import { get, jobUrl, patch, path } from "../lib/api.js";
import { askText, menu } from "../lib/dialog.js";
import { byId, fill, frame, h, say } from "../lib/dom.js";
import { ago, bytes, duration, figure, isAccuracy, num, percent, whole } from "../lib/format.js";
import { icon } from "../lib/icons.js";
import { act, badge, bar, doing, speed } from "../lib/job.js";
import { choices } from "../lib/store.js";
import { failed, notice, problem } from "../lib/states.js";
import { Tabs } from "../lib/tabs.js";
import { RunModel } from "./run_model.js";

/** @typedef {import("../lib/types.js").Metric} Metric */
/** @typedef {import("../lib/tabs.js").Tab} Tab */

const view = choices("run", { tab: "charts" }, ["tab"], ["tab"]);
const id = document.body.dataset.id ?? "";

/** What each tab shows is loaded when it is first chosen. @param {RunModel} run @returns {Tab[]} */
const TABS = (run) => [
  {
    id: "charts",
    label: "Charts",
    show: async (panel) => (await import("./run_charts.js")).show(panel, run),
  },
  {
    id: "histograms",
    label: "Histograms",
    show: async (panel) => (await import("./run_histograms.js")).show(panel, run),
  },
  {
    id: "samples",
    label: "Samples",
    show: async (panel) => (await import("./run_samples.js")).show(panel, run),
  },
  {
    id: "net",
    label: "Net",
    show: async (panel) => (await import("./run_net.js")).show(panel, run),
  },
  {
    id: "test",
    label: "Test",
    show: async (panel) => (await import("./run_test.js")).show(panel, run),
  },
  {
    id: "log",
    label: "Log",
    show: async (panel) => (await import("./run_log.js")).show(panel, run),
  },
  {
    id: "files",
    label: "Files",
    count: run.job.snapshots.length || null,
    show: async (panel) => (await import("./run_files.js")).show(panel, run),
  },
  {
    id: "details",
    label: "Details",
    show: async (panel) => (await import("./run_details.js")).show(panel, run),
  },
];

async function start() {
  try {
    const run = await RunModel.load(id);
    const head = new Head(byId("head"), run);
    run.on(
      "job",
      frame(() => head.draw()),
    );
    run.on("line", (line) => line.event === "snapshot" && head.reload());
    const tabs = new Tabs(byId("tabs"), TABS(run), {
      label: "Parts of the run",
      chosen: view.get("tab"),
      onchange: (tab) => view.set("tab", tab, true),
    });
    view.on(() => tabs.choose(view.get("tab"), false));
    await run.curves();
    run.listen();
  } catch (error) {
    fill(byId("tabs"), failed(error, start));
  }
}

// ---------------------------------------------------------------------- the head of the page

class Head {
  /** @param {HTMLElement} host @param {RunModel} run */
  constructor(host, run) {
    this.run = run;
    this.state = "";
    this.crumbs = h("ol", { class: "crumbs" });
    this.title = h("h1", { class: "wrap" });
    this.rename = h(
      "button",
      {
        class: "btn quiet icon small",
        type: "button",
        "aria-label": "Rename",
        title: "Rename",
        onclick: () => this.askName(),
      },
      icon("edit"),
    );
    this.buttons = h("div", { class: "btn-row" });
    this.facts = h("div", { class: "row small" });
    this.message = h("div", { class: "message" });
    this.progress = h("div");
    this.stats = h("dl", { class: "stats" });
    /** @type {Map<string, HTMLElement[]>} */
    this.figures = new Map();
    fill(
      host,
      h("nav", { "aria-label": "Where this is" }, this.crumbs),
      h(
        "div",
        { class: "page-head" },
        h("div", null, h("div", { class: "row" }, this.title, this.rename), this.facts),
        this.buttons,
      ),
      this.message,
      h(
        "section",
        { class: "card stack run-state", "aria-label": "Progress" },
        this.progress,
        this.stats,
      ),
    );
    this.draw();
  }

  draw() {
    const { job } = this.run;
    say(this.title, job.name);
    document.title = `${job.state === "running" && job.total ? `${percent(job.done / job.total, 0)} · ` : ""}${job.name} · minidl`;
    // what depends on the state alone is not touched by progress: buttons keep the focus
    const state = JSON.stringify([
      job.state,
      job.group,
      job.tags,
      job.parents,
      job.adopted,
      job.error,
      job.snapshots.length > 0,
    ]);
    if (state !== this.state) {
      this.state = state;
      this.drawState();
    }
    fill(this.progress, bar(job));
    this.drawStats();
  }

  drawState() {
    const { job } = this.run;
    fill(
      this.crumbs,
      h("li", null, h("a", { href: "/" }, "Jobs")),
      job.group &&
        h("li", null, h("a", { href: `/?q=${encodeURIComponent(job.group)}` }, job.group)),
      h("li", null, h("code", null, job.id)),
    );
    const data = job.parents?.data;
    fill(
      this.facts,
      badge(job.state),
      data && h("span", { class: "muted" }, "on ", h("a", { href: jobUrl(data) }, data)),
      job.adopted && h("span", { class: "tag" }, "read only: no job.json"),
      job.tags.map((tag) => h("span", { class: "tag" }, tag)),
    );
    this.rename.hidden = !!job.adopted;
    fill(this.buttons, job.adopted ? null : this.actions());
    fill(this.message, this.trouble());
    if (job.state === "waiting") this.sayWhy();
  }

  /** What a run in the queue waits for. */
  async sayWhy() {
    const found = await get("queue").catch(() => null);
    if (!found || this.run.job.state !== "waiting") return;
    const ids = found.waiting.map((/** @type {{id: string}} */ one) => one.id);
    const at = ids.indexOf(id);
    const why = found.waiting[at]?.why;
    const place = at >= 0 ? `Place ${at + 1} of ${ids.length} in the queue` : "In the queue";
    const link = h("a", { class: "btn small", href: "/system" }, "The queue");
    fill(
      this.message,
      notice("", why ? `${place}; it waits because ${why}.` : `${place}.`, [link]),
    );
  }

  actions() {
    const { job } = this.run;
    const again = (/** @type {Promise<boolean>} */ work) =>
      work.then((done) => (done ? this.reload() : undefined));
    const button = (
      /** @type {string} */ text,
      /** @type {string} */ drawing,
      /** @type {() => void} */ go,
      kind = "",
    ) => h("button", { class: `btn ${kind}`, type: "button", onclick: go }, icon(drawing), text);
    const running = job.state === "running";
    const waiting = job.state === "waiting";
    const left = job.state !== "done" && !running && !waiting;
    const more = h(
      "button",
      {
        class: "btn icon",
        type: "button",
        "aria-label": "More to do with this run",
        "aria-haspopup": "menu",
        onclick: () => this.more(more),
      },
      icon("more"),
    );
    return [
      running && button("Stop", "stop", () => again(act.stop(job))),
      (running || waiting) && button("Pause", "pause", () => again(act.pause(job))),
      left && button("Resume", "play", () => again(act.resume(job)), "primary"),
      job.snapshots.length > 0 &&
        h(
          "a",
          { class: "btn", href: `/new/evaluation?run=${path(job.id)}` },
          icon("check"),
          "Evaluate",
        ),
      h("a", { class: "btn", href: `/new/run?clone=${path(job.id)}` }, icon("copy"), "Clone"),
      more,
    ];
  }

  /** @param {HTMLElement} button */
  more(button) {
    const { job } = this.run;
    const running = job.state === "running";
    const reload = (/** @type {boolean} */ done) => (done ? this.reload() : undefined);
    menu(button, [
      ...(running
        ? [
            {
              text: "Stop after this epoch",
              icon: "stop",
              act: () => act.afterEpoch(job).then(reload),
            },
            { text: "Abort", icon: "ban", danger: true, act: () => act.abort(job).then(reload) },
            null,
          ]
        : []),
      { text: "Compare with others", icon: "chart", href: `/compare?ids=${path(job.id)}` },
      {
        text: "Fine-tune from it",
        icon: "layers",
        href: `/new/run?weights=${path(job.id)}`,
        off: !job.snapshots.length,
      },
      { text: "Group", icon: "group", act: () => act.regroup([job]).then(reload) },
      {
        text: "Download everything",
        icon: "download",
        href: `/api/v1/download/${path(job.id)}?format=tar.gz`,
        download: true,
      },
      null,
      {
        text: "Delete",
        icon: "trash",
        danger: true,
        off: running,
        act: () => act.trash([job]).then((done) => (done ? location.assign("/") : undefined)),
      },
    ]);
  }

  trouble() {
    const { job } = this.run;
    const reload = (/** @type {boolean} */ done) => (done ? this.reload() : undefined);
    if (job.state === "interrupted") {
      return notice(
        "warn",
        "The process of this run is gone: the machine went down, or it was killed. What it had written is whole; it can go on from its newest snapshot, bit for bit.",
        [
          h(
            "button",
            { class: "btn small", type: "button", onclick: () => act.resume(job).then(reload) },
            icon("play"),
            "Resume",
          ),
        ],
      );
    }
    if (job.state === "failed" && job.error?.message)
      return notice("bad", [
        h("h2", null, job.error.type ?? "It failed"),
        h("pre", null, job.error.message),
      ]);
    return null;
  }

  drawStats() {
    const { run } = this;
    const { job } = run;
    const metrics = job.metrics ?? {};
    const running = job.state === "running";
    this.stat(
      "Progress",
      job.total ? percent(job.done / job.total, 0) : whole(job.done),
      job.total ? `${whole(job.done)} / ${whole(job.total)} ${job.unit}` : job.unit,
    );
    if (job.epoch !== null && job.epoch !== undefined) {
      const all = run.epochIters && run.start.max_iter ? run.start.max_iter / run.epochIters : 0;
      this.stat("Epoch", num(job.epoch, 3), all ? `of ${num(all, 3)}` : "");
    }
    const so = duration(job.elapsed);
    if (job.state === "waiting") this.stat("Time left", "–", "waits for its turn");
    else if (running) this.stat("Time left", duration(job.eta), job.elapsed ? `${so} so far` : "");
    else this.stat("Time left", so, job.ended ? `until ${ago(job.ended)}` : "", "Took");
    const [rate, unit] = split(speed(job));
    this.stat("Speed", rate || "–", unit);
    for (const [name, metric] of chosen(metrics)) {
      const best = metric.best ?? (isAccuracy(name) ? metric.max : metric.min);
      const known = best !== null && best !== undefined;
      const place = this.stat(
        title(name),
        figure(name, metric.last),
        known ? `best ${figure(name, best)}` : "",
      );
      if (known && metric.best_iter)
        place.title = `The best at iteration ${whole(metric.best_iter)}`;
    }
    if (job.memory) this.stat("Memory", bytes(job.memory), "of the process");
  }

  /** @param {string} name of its place @param {string} value @param {string} more @param {string} [label] */
  stat(name, value, more, label = name) {
    const known = this.figures.get(name);
    const made = known ?? [h("dt"), h("dd"), h("dd", { class: "more" })];
    if (!known) {
      this.figures.set(name, made);
      this.stats.append(h("div", { class: "stat" }, made));
    }
    [label, value, more || "\u00a0"].forEach((text, i) => say(made[i], text));
    return made[2];
  }

  async askName() {
    const name = await askText({
      title: "Rename",
      label: "Name",
      value: this.run.job.name,
      action: "Rename",
      required: true,
    });
    if (name && (await doing(() => patch(`job/${path(id)}`, { name })))) {
      this.run.job.name = name;
      this.draw();
    }
  }

  async reload() {
    try {
      Object.assign(this.run.job, await get(`job/${path(id)}`));
      this.draw();
    } catch (error) {
      fill(this.message, notice("bad", problem(error)));
    }
  }
}

/** The figures of the head: an accuracy and a loss of the tests, and the loss of the training. @param {Record<string, Metric>} metrics @returns {[string, Metric][]} */
function chosen(metrics) {
  const known = Object.entries(metrics);
  const accuracy = known.find(([name]) => name.startsWith("test") && isAccuracy(name));
  const test = known.find(([name]) => name.startsWith("test") && /loss/i.test(name));
  const train = known.find(([name]) => name === "train loss");
  return /** @type {[string, Metric][]} */ ([accuracy, test, train].filter(Boolean));
}

/** @param {string} name */
const title = (name) => name.charAt(0).toUpperCase() + name.slice(1);

/** @param {string} text "1,234 images/s" */
function split(text) {
  const at = text.indexOf(" ");
  return at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at + 1)];
}

start();
