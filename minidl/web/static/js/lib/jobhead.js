// The head of the page of a job that is no run: where it is, how it goes, what can be done with it.
//
//   const head = await JobHead.open(byId("head"), id, {
//     crumbs: (job) => [...], facts: (job) => [...], actions: (job) => [...], menu: (job) => [...],
//     ready: (job) => ...})      called when the job is done, with the job in full
//
// While it waits or runs, its progress is shown live, with the time left; when it fails, why.

import { apiUrl, fileUrl, get, jobUrl, path } from "./api.js";
import { menu } from "./dialog.js";
import { fill, frame, h, say } from "./dom.js";
import { percent } from "./format.js";
import { icon } from "./icons.js";
import { about, act, badge, bar, busy, commandBox, eta, speed } from "./job.js";
import { notice } from "./states.js";
import { listen } from "./stream.js";

/** @typedef {import("./types.js").Job} Job */
/** @typedef {import("./dom.js").Child} Child */
/** @typedef {{crumbs?: (job: Job) => Child[], facts?: (job: Job) => Child[],
 *             actions?: (job: Job) => Child[], menu?: (job: Job) => any[],
 *             ready: (job: Job) => void}} Options */

export class JobHead {
  /** @param {HTMLElement} host @param {string} id @param {Options} options */
  static async open(host, id, options) {
    const head = new JobHead(host, await get(`job/${path(id)}`), options);
    head.start();
    return head;
  }

  /** @param {HTMLElement} host @param {Job} job @param {Options} options */
  constructor(host, job, options) {
    this.job = job;
    this.options = options;
    /** @type {string} as it is drawn */
    this.state = "";
    this.crumbs = h("ol", { class: "crumbs" });
    this.title = h("h1", { class: "wrap" });
    this.facts = h("div", { class: "row small" });
    this.buttons = h("div", { class: "btn-row" });
    this.message = h("div", { class: "stack job-message" });
    this.command = h("section", { class: "stack tight job-message" });
    this.draw = frame(() => this.drawNow());
    fill(
      host,
      h("nav", { "aria-label": "Where this is" }, this.crumbs),
      h("div", { class: "page-head" }, h("div", null, this.title, this.facts), this.buttons),
      this.message,
      this.command,
    );
    this.drawNow();
  }

  start() {
    if (this.job.state === "done") this.options.ready(this.job);
    if (!busy(this.job)) return;
    const stop = listen(`events/${path(this.job.id)}`, {
      status: async (summary) => {
        const before = this.job.state;
        Object.assign(this.job, summary);
        if (!busy(this.job) && before !== this.job.state) {
          stop();
          Object.assign(this.job, await get(`job/${path(this.job.id)}`));
          if (this.job.state === "done") this.options.ready(this.job);
        }
        this.draw();
      },
    });
  }

  drawNow() {
    const { job } = this;
    say(this.title, job.name);
    document.title = `${job.state === "running" && job.total ? `${percent(job.done / job.total, 0)} · ` : ""}${job.name} · minidl`;
    if (this.state === job.state) {
      if (job.state === "running") fill(this.message, this.progress());
      return;
    }
    this.state = job.state;
    fill(
      this.crumbs,
      h("li", null, h("a", { href: "/" }, "Jobs")),
      this.options.crumbs?.(job) ?? [],
      h("li", null, h("code", null, job.id)),
    );
    fill(this.facts, badge(job.state), this.options.facts?.(job) ?? []);
    const more = h(
      "button",
      {
        class: "btn icon",
        type: "button",
        "aria-label": "More to do",
        "aria-haspopup": "menu",
        onclick: () => this.more(more),
      },
      icon("more"),
    );
    fill(this.buttons, this.options.actions?.(job) ?? [], this.steps(), more);
    fill(this.message, this.said());
    // what is done says so itself
    fill(
      this.command,
      job.state !== "done" && job.command
        ? [h("h2", { class: "eyebrow" }, "The same in a terminal"), commandBox(job.command)]
        : [],
    );
  }

  steps() {
    const { job } = this;
    const again = (/** @type {Promise<boolean>} */ work) =>
      work.then((done) => done && location.reload());
    if (busy(job))
      return [
        h(
          "button",
          { class: "btn", type: "button", onclick: () => again(act.abort(job)) },
          icon("stop"),
          "Stop",
        ),
      ];
    if (job.state !== "done" && !job.adopted)
      return [
        h(
          "button",
          { class: "btn primary", type: "button", onclick: () => again(act.resume(job)) },
          icon("play"),
          "Start again",
        ),
      ];
    return [];
  }

  /** @param {HTMLElement} button */
  more(button) {
    const { job } = this;
    menu(button, [
      ...(this.options.menu?.(job) ?? []),
      {
        text: "Rename",
        icon: "edit",
        act: () => act.rename(job).then((done) => done && location.reload()),
      },
      {
        text: "Group",
        icon: "group",
        act: () => act.regroup([job]).then((done) => done && location.reload()),
      },
      {
        text: "Download everything",
        icon: "download",
        href: apiUrl(`download/${path(job.id)}`, { format: "tar.gz" }),
        download: true,
      },
      null,
      {
        text: "Delete",
        icon: "trash",
        danger: true,
        off: job.state === "running",
        act: () => act.trash([job]).then((done) => (done ? location.assign("/") : undefined)),
      },
    ]);
  }

  /** What stands below the head: progress, or why there is nothing more. @returns {Child} */
  said() {
    const { job } = this;
    if (job.state === "done") return null;
    if (job.state === "running") return this.progress();
    if (job.state === "waiting")
      return notice(
        "",
        /** @type {any} */ (job).why
          ? `It waits: ${/** @type {any} */ (job).why}.`
          : "It waits for its turn.",
      );
    const log = job.files?.some((file) => file.name === "output.txt");
    const actions = log
      ? [h("a", { class: "btn small", href: fileUrl(job.id, "output.txt") }, "What it printed")]
      : [];
    if (job.state === "failed")
      return notice(
        "bad",
        [
          h("h2", null, job.error?.type ?? "It failed"),
          h("pre", null, job.error?.message ?? "It ended without a word of why."),
        ],
        actions,
      );
    if (job.state === "interrupted")
      return notice(
        "warn",
        "Its process is gone: the machine went down, or it was killed. Start it again to have it whole.",
        actions,
      );
    return notice("warn", "It was stopped before it was done.", actions);
  }

  progress() {
    const { job } = this;
    return h(
      "section",
      { class: "card stack tight", "aria-label": "Progress" },
      bar(job),
      h(
        "p",
        { class: "small muted" },
        [about(job), speed(job), eta(job)].filter(Boolean).join(" · ") || "It begins.",
      ),
    );
  }
}

/** A crumb with a link to a job. @param {string|undefined} id @param {Record<string, any>} [params] */
export const crumb = (id, params) =>
  id ? h("li", null, h("a", { href: jobUrl(id, params) }, id.split("/").pop())) : null;
