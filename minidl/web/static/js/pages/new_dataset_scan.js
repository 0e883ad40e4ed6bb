// What a folder of pictures holds, before a data set is made of it.

import { post } from "../lib/api.js";
import { bars } from "../lib/bars.js";
import { fill, h } from "../lib/dom.js";
import { plural, whole } from "../lib/format.js";
import { loading, notice, problem } from "../lib/states.js";

/** @typedef {{folder: string, pictures: number, split: boolean,
 *             classes: {label: string, count: number, parts?: Record<string, number>}[],
 *             sizes: {size: number[], count: number}[], different_sizes: number, grey: boolean,
 *             bad: {path: string, reason: string}[], bad_count: number,
 *             others: {ending: string, count: number}[],
 *             default: {size: number[], channels: number}}} Found */

export class Scan {
  /** @param {(folder: string, found: string) => void} done called with the folder that was read */
  constructor(done) {
    this.done = done;
    this.folder = "";
    this.node = h("div", { class: "scan", "aria-live": "polite" });
    this.cancel = new AbortController();
  }

  /** @param {string} folder */
  async look(folder) {
    if (folder === this.folder) return;
    this.folder = folder;
    this.cancel.abort();
    this.cancel = new AbortController();
    if (!folder) {
      fill(this.node);
      this.done("", "");
      return;
    }
    const { signal } = this.cancel;
    fill(this.node, h("div", { class: "card" }, loading(4)));
    try {
      const found = await post("ask/scan", { folder }, signal);
      if (signal.aborted) return;
      fill(this.node, this.drawn(found));
      this.done(folder, found.classes[0]?.label ?? "");
    } catch (error) {
      if (signal.aborted) return;
      fill(this.node, notice("warn", problem(error)));
      this.done("", "");
    }
  }

  /** @param {Found} found */
  drawn(found) {
    const names = found.split
      ? [...new Set(found.classes.flatMap((one) => Object.keys(one.parts ?? {})))]
      : [];
    const rows = found.classes.map(({ label, count, parts }) => ({
      label,
      parts: parts ? names.map((name) => parts[name] ?? 0) : [count],
    }));
    const counts = found.classes.map((one) => one.count);
    const [least, most] = [Math.min(...counts), Math.max(...counts)];
    const each = least === most ? whole(most) : `${whole(least)} to ${whole(most)}`;
    const sentences = [
      `${plural(found.pictures, "picture")} in ${plural(found.classes.length, "class", "classes")}, ${each} of each.`,
      sizes(found),
      found.split && `The folder is split already: ${names.join(", ")}.`,
    ];
    return h(
      "section",
      { class: "card stack", "aria-label": "What the folder holds" },
      h("p", null, sentences.filter(Boolean).join(" ")),
      bars(rows, { label: "Pictures of each class", names }),
      found.bad_count > 0 &&
        notice("warn", [
          h("p", null, `${plural(found.bad_count, "file")} cannot be read and will be left out.`),
          h(
            "details",
            { class: "small" },
            h("summary", null, "Which"),
            h(
              "ul",
              { class: "file-list" },
              found.bad.map((one) =>
                h("li", { class: "wrap" }, h("code", null, one.path), ` ${one.reason}`),
              ),
              found.bad_count > found.bad.length &&
                h("li", null, `and ${whole(found.bad_count - found.bad.length)} more`),
            ),
          ),
        ]),
      found.others.length > 0 &&
        h(
          "p",
          { class: "small faint" },
          `Other files, which are passed over: ${found.others
            .slice(0, 8)
            .map(({ ending, count }) => `${whole(count)} ${ending || "without an ending"}`)
            .join(", ")}.`,
        ),
    );
  }
}

/** @param {Found} found */
function sizes(found) {
  const channels = found.grey ? "grey" : "in colour";
  const [most] = found.sizes;
  if (!most) return "";
  const side = `${most.size[0]} × ${most.size[1]}`;
  if (found.different_sizes === 1) return `All are ${side} (height × width), ${channels}.`;
  return `They are ${channels}, of ${plural(found.different_sizes, "size")}, mostly ${side} (height × width).`;
}
