// A run as its page knows it: the job, its curves, and what the server pushes.
//
//   const run = await RunModel.load(id)    run.job   run.lines (name -> Points)   run.epochIters
//   run.on("figures" | "job" | "log" | "line" | "reset", act)    run.listen()

import { get, path } from "../lib/api.js";
import { figures, Points } from "../lib/series.js";
import { listen } from "../lib/stream.js";

/** @typedef {import("../lib/types.js").Job} Job */

const POINTS = 1500;

export class RunModel {
  /** @param {Job} job */
  constructor(job) {
    this.job = job;
    this.id = job.id;
    /** @type {Map<string, Points>} */
    this.lines = new Map();
    /** @type {Record<string, any>} */
    this.start = job.start ?? {};
    this.starting = false;
    /** @type {Promise<any>|null} the answer that `load` asked for beside the job */
    this.asked = null;
    this.began = NaN;
    this.offset = /** @type {number|undefined} */ (undefined);
    /** @type {EventTarget} */
    this.events = new EventTarget();
  }

  /** @param {string} id */
  static async load(id) {
    const curves = get(`metrics/${path(id)}`, { points: POINTS });
    curves.catch(() => {}); // `curves` tells it
    const made = new RunModel(await get(`job/${path(id)}`));
    made.asked = curves;
    return made;
  }

  /** @param {string} name @param {(detail: any) => void} act */
  on(name, act) {
    this.events.addEventListener(name, (event) => act(/** @type {CustomEvent} */ (event).detail));
  }

  /** @param {string} name @param {any} [detail] */
  tell(name, detail) {
    this.events.dispatchEvent(new CustomEvent(name, { detail }));
  }

  /** Iterations of an epoch; 0: not known. */
  get epochIters() {
    const value = this.start.epoch_iters;
    return typeof value === "number" && value > 0 ? value : 0;
  }

  /** Ask for the curves; while the server still reads a long file, ask again. */
  async curves() {
    const found = await (this.asked ?? get(`metrics/${path(this.id)}`, { points: POINTS }));
    this.asked = null;
    this.offset ??= found.offset;
    this.take(found.series);
    this.tell("reset");
    if (found.partial) setTimeout(() => this.curves().catch(() => {}), 1000);
  }

  /** @param {Record<string, import("../lib/types.js").Series>} series */
  take(series) {
    for (const [name, one] of Object.entries(series)) {
      const points = this.lines.get(name) ?? new Points();
      points.set(one);
      this.lines.set(name, points);
      const first = points.time[0];
      if (Number.isFinite(first))
        this.began = Number.isFinite(this.began) ? Math.min(this.began, first) : first;
    }
  }

  /** Put finer curves of a part in place of what is known of it. @param {number} from @param {number} to iterations */
  async refine(from, to) {
    const coarse = [...this.lines.values()].some((points) => points.length > POINTS / 2);
    if (!coarse) return;
    const found = await get(`metrics/${path(this.id)}`, {
      points: POINTS,
      from: Math.floor(from),
      to: Math.ceil(to),
    });
    for (const [name, one] of Object.entries(found.series)) this.lines.get(name)?.splice(one);
    this.tell("reset");
  }

  listen() {
    return listen(
      `events/${path(this.id)}`,
      {
        event: (line) => this.read([line]),
        batch: (lines) => this.read(lines),
        status: (summary) => {
          Object.assign(this.job, summary);
          this.tell("job");
        },
        log: (part) => this.tell("log", part),
      },
      { offset: this.offset, log: 1 },
    );
  }

  /** @param {Record<string, any>[]} lines of events.jsonl */
  read(lines) {
    let grown = false;
    for (const line of lines) {
      if (this.starting && line.event !== "start") {
        this.rewind(line.event === "resume" ? line.iter : -1);
        this.starting = false;
      } else if (line.event === "resume") this.rewind(line.iter);
      if (line.event === "start") {
        this.start = line;
        this.starting = true;
      }
      const epoch = this.epochIters ? line.iter / this.epochIters : null;
      for (const [name, value] of figures(line)) {
        if (!this.lines.has(name)) this.lines.set(name, new Points());
        this.lines.get(name)?.push(line.iter, line.time, epoch, value);
        if (!Number.isFinite(this.began)) this.began = line.time;
        grown = true;
      }
      this.tell("line", line);
    }
    if (grown) this.tell("figures");
  }

  /** Forget what came after an iteration. @param {number} iter */
  rewind(iter) {
    for (const points of this.lines.values()) points.rewind(iter);
    this.tell("reset");
  }
}
