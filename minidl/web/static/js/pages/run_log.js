// The log of a run: its tail as it grows, earlier parts, a search in all of it, levels.

import { fileUrl, get, path } from "../lib/api.js";
import { fill, h, later, say } from "../lib/dom.js";
import { plural, whole } from "../lib/format.js";
import { icon } from "../lib/icons.js";
import { empty, failed, loading } from "../lib/states.js";

/** @typedef {import("./run_model.js").RunModel} RunModel */

const MOST_LINES = 4000; // in the page; earlier ones go
const PART = 65_536;
const LEVELS = { I: "Information", W: "Warnings", E: "Errors" };

/** @param {HTMLElement} panel @param {RunModel} run */
export async function show(panel, run) {
  fill(panel, loading(8));
  try {
    const log = new Log(run);
    await log.load();
    fill(panel, log.node);
    log.follow();
    return { back: () => log.follow() };
  } catch (error) {
    fill(
      panel,
      failed(error, () => show(panel, run)),
    );
  }
}

class Log {
  /** @param {RunModel} run */
  constructor(run) {
    this.run = run;
    this.file = "";
    this.begin = 0; // bytes of the file that are shown: from here
    this.end = 0; // to here
    this.rest = ""; // a line without its end
    this.level = "I";
    this.pinned = true;
    this.lines = h("div", { class: "log-lines" });
    this.box = h(
      "div",
      { class: "codebox log", tabindex: "0", role: "log", "aria-label": "Log", "aria-live": "off" },
      this.lines,
    );
    this.box.addEventListener("scroll", () => {
      this.pinned = this.box.scrollTop + this.box.clientHeight > this.box.scrollHeight - 30;
      this.down.hidden = this.pinned;
    });
    this.words = h("input", {
      type: "search",
      placeholder: "Search in the whole log",
      "aria-label": "Search in the log",
    });
    this.words.addEventListener(
      "input",
      later(250, () => this.search()),
    );
    this.found = h("span", { class: "small faint", role: "status" });
    this.earlier = h(
      "button",
      { class: "btn quiet small", type: "button", onclick: () => this.loadEarlier() },
      icon("up"),
      "Earlier",
    );
    this.down = h(
      "button",
      { class: "btn small log-down", type: "button", hidden: true, onclick: () => this.follow() },
      icon("down"),
      "Newest",
    );
    this.files = h("span", { class: "row" });
    const levels = h(
      "select",
      { "aria-label": "Levels", onchange: () => this.setLevel(levels.value) },
      Object.entries(LEVELS).map(([level, word]) =>
        h(
          "option",
          { value: level },
          level === "I" ? "All levels" : level === "W" ? "Warnings and errors" : word,
        ),
      ),
    );
    this.node = h(
      "div",
      null,
      h(
        "div",
        { class: "toolbar" },
        h("label", { class: "search" }, icon("search"), this.words),
        levels,
        this.found,
        h("span", { class: "grow" }),
        this.earlier,
        this.files,
      ),
      h("div", { class: "log-frame" }, this.box, this.down),
    );
    run.on("log", (part) => this.append(part));
  }

  async load() {
    const found = await get(`log/${path(this.run.id)}`, { offset: -PART, file: this.file });
    this.begin = found.start;
    this.end = found.offset;
    this.file = found.file ?? "";
    this.first = this.first ?? this.file;
    this.rest = "";
    fill(this.lines);
    if (!found.size)
      fill(
        this.lines,
        empty({
          icon: "file",
          title: "Nothing logged yet",
          text: "The log appears here as soon as the run writes it.",
        }),
      );
    this.add(found.text);
    this.earlier.disabled = !this.begin;
    const names = found.files ?? [];
    fill(
      this.files,
      names.length > 1 &&
        h(
          "select",
          {
            "aria-label": "File",
            onchange: (/** @type {Event} */ e) =>
              this.choose(/** @type {HTMLSelectElement} */ (e.target).value),
          },
          names.map((/** @type {string} */ name) =>
            h("option", { value: name, selected: name === this.file }, name),
          ),
        ),
      this.file &&
        h(
          "a",
          {
            class: "btn quiet icon small",
            href: fileUrl(this.run.id, this.file, true),
            "aria-label": `Download ${this.file}`,
            title: "Download",
          },
          icon("download"),
        ),
    );
  }

  /** @param {string} file */
  async choose(file) {
    this.file = file;
    await this.load();
    this.follow();
  }

  async loadEarlier() {
    const offset = Math.max(0, this.begin - PART);
    const found = await get(`log/${path(this.run.id)}`, {
      offset,
      limit: this.begin - offset,
      file: this.file,
    });
    const before = this.box.scrollHeight;
    this.lines.prepend(...this.rows(found.text.replace(/\n$/, "").split("\n")));
    this.begin = offset;
    this.earlier.disabled = !offset;
    this.box.scrollTop += this.box.scrollHeight - before;
  }

  /** What the run logged just now. @param {{text: string, offset: number}} part */
  append(part) {
    if (this.file !== this.first || part.offset <= this.end) return;
    const data = new TextEncoder().encode(part.text);
    const start = part.offset - data.length;
    const text =
      start < this.end ? new TextDecoder().decode(data.subarray(this.end - start)) : part.text;
    this.end = part.offset;
    this.add(text);
    if (this.pinned) this.follow();
  }

  /** @param {string} text */
  add(text) {
    if (!text) return;
    this.lines.querySelector(".empty")?.remove();
    const lines = (this.rest + text).split("\n");
    this.rest = lines.pop() ?? "";
    this.lines.append(...this.rows(lines));
    while (this.lines.childElementCount > MOST_LINES) this.lines.firstElementChild?.remove();
  }

  /** @param {string[]} lines */
  rows(lines) {
    return lines.map((line) => {
      const level =
        /^([IWEF])\d{4,8} /.exec(line)?.[1] ?? (/\b(error|traceback)\b/i.test(line) ? "E" : "I");
      return h("div", { data: { level: level === "F" ? "E" : level } }, line || "\u00a0");
    });
  }

  /** @param {string} level */
  setLevel(level) {
    this.lines.dataset.least = level;
    this.follow();
  }

  follow() {
    this.pinned = true;
    this.down.hidden = true;
    this.box.scrollTop = this.box.scrollHeight;
  }

  async search() {
    const words = this.words.value.trim();
    if (!words) {
      say(this.found, "");
      await this.load();
      return this.follow();
    }
    try {
      const { matches } = await get(`log/${path(this.run.id)}`, {
        q: words,
        limit: 1,
        file: this.file,
      });
      if (words !== this.words.value.trim()) return;
      say(
        this.found,
        matches.length >= 500 ? "The first 500 lines" : plural(matches.length, "line"),
      );
      fill(
        this.lines,
        matches.map((/** @type {{line: number, text: string}} */ match) =>
          h(
            "div",
            { data: { level: "I" } },
            h("span", { class: "faint log-number" }, whole(match.line)),
            marked(match.text, words),
          ),
        ),
      );
      this.box.scrollTop = 0;
    } catch (error) {
      fill(
        this.lines,
        failed(error, () => this.search()),
      );
    }
  }
}

/** A text with what was searched for marked. @param {string} text @param {string} words */
function marked(text, words) {
  const parts = [];
  const low = text.toLowerCase();
  const wanted = words.toLowerCase();
  let at = 0;
  for (let i = low.indexOf(wanted); i >= 0; i = low.indexOf(wanted, at)) {
    parts.push(text.slice(at, i), h("mark", null, text.slice(i, i + wanted.length)));
    at = i + wanted.length;
  }
  return [...parts, text.slice(at)];
}
