// A data set: what is in it, how its classes are spread, what is odd about it, what was made of it.

import { fileUrl, jobUrl, path } from "../lib/api.js";
import { bars } from "../lib/bars.js";
import { byId, fill, h } from "../lib/dom.js";
import { bytes, num, percent, plural, whole } from "../lib/format.js";
import { icon } from "../lib/icons.js";
import { commandBox } from "../lib/job.js";
import { JobHead } from "../lib/jobhead.js";
import { failed, notice } from "../lib/states.js";

/** @typedef {import("../lib/types.js").Job} Job */
/** @typedef {import("../lib/dom.js").Child} Child */
/** @typedef {{records: number, store: string, backend: string, classes: number[],
 *             target?: string}} Part */

const id = document.body.dataset.id ?? "";
const NAMES = /** @type {Record<string, string>} */ ({
  train: "training",
  val: "validation",
  test: "test",
});
const RESIZE = /** @type {Record<string, string>} */ ({
  squash: "squashed to the size",
  crop: "scaled to cover the size, the middle taken",
  fill: "scaled to fit the size, the rest filled with noise",
  half_crop: "scaled halfway between crop and fill",
});

/** @param {string} data */
const exploreUrl = (data, params = "") => `/explore/${path(data)}${params}`;

async function start() {
  try {
    await JobHead.open(byId("head"), id, {
      facts: (job) => (job.dataset ? [h("span", { class: "muted" }, kind(job.dataset))] : []),
      actions: (job) => [
        job.state === "done" &&
          h(
            "a",
            { class: "btn primary", href: `/new/run?data=${path(job.id)}` },
            icon("play"),
            "Train on it",
          ),
        job.state === "done" &&
          h("a", { class: "btn", href: exploreUrl(job.id) }, icon("image"), "Explore"),
        h("a", { class: "btn", href: `/new/dataset?clone=${path(job.id)}` }, icon("copy"), "Clone"),
      ],
      ready: (job) => draw(job),
    });
  } catch (error) {
    fill(byId("content"), failed(error, start));
    return;
  }
  if (byId("content").querySelector(".skeleton")) fill(byId("content"));
}

/** @param {any} facts */
function kind(facts) {
  if (facts.task === "pairs")
    return facts.targets === "classes"
      ? "pairs: pictures and the classes of their pixels"
      : "pairs of pictures";
  return plural(facts.labels.length, "class", "classes");
}

/** @param {Job} job */
function draw(job) {
  const facts = job.dataset;
  if (!facts) {
    fill(
      byId("content"),
      notice(
        "warn",
        "This folder has no dataset.json: an older minidl made it. It can be trained on; what is in it is not known here.",
      ),
    );
    return;
  }
  fill(
    byId("content"),
    h("section", { class: "card run-state", "aria-label": "In figures" }, stats(facts)),
    h(
      "div",
      { class: "side" },
      h(
        "div",
        { class: "stack loose" },
        oddities(facts),
        facts.task === "pairs" ? null : classes(job),
        h("section", { class: "stack tight" }, h("h2", null, "Made by"), commandBox(job.command)),
      ),
      h(
        "div",
        { class: "stack loose" },
        meanPicture(job),
        h("section", { class: "stack tight" }, h("h2", null, "Pictures"), about(facts)),
        dependants(job),
        files(job),
      ),
    ),
  );
}

/** @param {any} facts */
function stats(facts) {
  const parts = /** @type {[string, Part][]} */ (Object.entries(facts.splits));
  const all = parts.reduce((sum, [, part]) => sum + part.records, 0);
  const stat = (
    /** @type {string} */ name,
    /** @type {string} */ value,
    /** @type {string} */ more,
  ) =>
    h(
      "div",
      { class: "stat" },
      h("dt", null, name),
      h("dd", null, value),
      h("dd", { class: "more" }, h("small", null, more || "\u00a0")),
    );
  const [high, wide] = facts.size;
  return h(
    "dl",
    { class: "stats" },
    parts.map(([name, part]) =>
      stat(
        name.charAt(0).toUpperCase() + name.slice(1),
        whole(part.records),
        `${percent(part.records / Math.max(1, all), 0)} for ${NAMES[name] ?? name}`,
      ),
    ),
    facts.task !== "pairs" && stat("Classes", whole(facts.labels.length), ""),
    stat("Size", `${high} × ${wide}`, facts.channels === 1 ? "grey" : "colour"),
    stat("On disk", bytes(facts.bytes), parts[0]?.[1].backend.toUpperCase() ?? ""),
  );
}

/** What is odd about it, in sentences. @param {any} facts */
function oddities(facts) {
  const found = facts.warnings ?? [];
  const twice = Object.entries(facts.duplicates ?? {}).filter(([, count]) => count);
  if (!found.length && !twice.length)
    return notice("good", "Every file could be read, and no picture is in two parts.");
  return h(
    "section",
    { class: "stack tight", "aria-label": "What is odd about it" },
    found.map((/** @type {any} */ one) => notice("warn", oddity(one))),
    !found.some((/** @type {any} */ one) => one.kind === "duplicate_across") &&
      twice.map(([parts, count]) =>
        notice(
          "warn",
          `${plural(/** @type {number} */ (count), "picture")} ${count === 1 ? "is" : "are"} in both ${parts.replace("/", " and ")}: figures of ${parts.split("/").pop()} are better than they should be.`,
        ),
      ),
  );
}

/** @param {{text: string, count: number, examples?: string[]}} one @returns {Node[]} */
function oddity(one) {
  const text = one.text.charAt(0).toUpperCase() + one.text.slice(1);
  const said = h("p", null, /[.!?]$/.test(text) ? text : `${text}.`);
  const examples = one.examples ?? [];
  if (!examples.length) return [said];
  const some = examples.length < one.count ? `Some of the ${whole(one.count)}` : "Which";
  return [
    said,
    h(
      "details",
      { class: "small" },
      h("summary", null, some),
      h(
        "ul",
        { class: "file-list" },
        examples.map((name) => h("li", { class: "wrap" }, h("code", null, name))),
      ),
    ),
  ];
}

/** @param {Job} job */
function classes(job) {
  const facts = job.dataset;
  const parts = /** @type {[string, Part][]} */ (Object.entries(facts.splits)).filter(
    ([, part]) => part.classes?.length,
  );
  if (!parts.length) return null;
  const names = parts.map(([name]) => name);
  const count = Math.max(facts.labels.length, ...parts.map(([, part]) => part.classes.length));
  const rows = Array.from({ length: count }, (_, i) => ({
    at: i,
    label: facts.labels[i] ?? String(i),
    parts: parts.map(([, part]) => part.classes[i] ?? 0),
  }));
  const sum = (/** @type {number[]} */ values) => values.reduce((a, b) => a + b, 0);
  const place = h("div");
  /** @type {Record<string, (a: typeof rows[0], b: typeof rows[0]) => number>} */
  const orders = {
    label: (a, b) => a.at - b.at,
    most: (a, b) => sum(b.parts) - sum(a.parts),
    fewest: (a, b) => sum(a.parts) - sum(b.parts),
  };
  const order = h(
    "select",
    { "aria-label": "Order of the classes", onchange: () => drawRows() },
    h("option", { value: "label" }, "In order"),
    h("option", { value: "most" }, "Most first"),
    h("option", { value: "fewest" }, "Fewest first"),
  );
  const drawRows = () => {
    const sorted = rows.toSorted(orders[order.value]);
    fill(
      place,
      bars(sorted, {
        names,
        label: "Records of each class",
        link: (_, at) => exploreUrl(job.id, `?split=${names[0]}&label=${sorted[at].at}`),
      }),
    );
  };
  drawRows();
  return h(
    "section",
    { class: "card stack" },
    h("div", { class: "row between" }, h("h2", null, "Classes"), h("div", null, order)),
    place,
  );
}

/** @param {Job} job */
function meanPicture(job) {
  const { mean, std, channels } = job.dataset;
  const names =
    channels === 3
      ? ["blue", "green", "red"]
      : channels === 1
        ? [""]
        : mean?.map((/** @type {number} */ _, /** @type {number} */ i) => String(i));
  const has = job.files.some((file) => file.name === "mean.png");
  return h(
    "section",
    { class: "stack tight" },
    h("h2", null, "Mean image"),
    has &&
      h("img", {
        class: "mean-picture",
        src: fileUrl(job.id, "mean.png"),
        alt: "Mean of all training pictures",
        width: 200,
        height: 200,
      }),
    mean?.length > 0 &&
      h(
        "ul",
        { class: "small muted" },
        mean.map((/** @type {number} */ value, /** @type {number} */ i) =>
          h(
            "li",
            null,
            `${names[i] ? `${names[i]}: ` : ""}mean ${num(value)}, standard deviation ${num(std?.[i])}`,
          ),
        ),
      ),
  );
}

/** @param {any} facts */
function about(facts) {
  const rows = /** @type {[string, Child][]} */ ([
    ["Source", h("span", { class: "wrap" }, facts.source)],
    ["Resize", RESIZE[facts.resize] ?? facts.resize],
    ["Encoding", facts.encoding ? facts.encoding.toUpperCase() : "raw pixels"],
    ...Object.entries(facts.splits).map(([name, part]) => [
      `Store of ${name}`,
      h("code", { class: "wrap" }, /** @type {any} */ (part).store),
    ]),
  ]);
  return h(
    "dl",
    { class: "net-kv" },
    rows
      .filter(([, value]) => value)
      .flatMap(([name, value]) => [h("dt", null, name), h("dd", null, value)]),
  );
}

/** @param {Job} job */
function dependants(job) {
  return h(
    "section",
    { class: "stack tight" },
    h("h2", null, "Runs on it"),
    job.dependants.length
      ? h(
          "ul",
          null,
          job.dependants
            .slice(0, 20)
            .map((one) => h("li", { class: "clip" }, h("a", { href: jobUrl(one) }, one))),
          job.dependants.length > 20 &&
            h("li", { class: "faint" }, `and ${job.dependants.length - 20} more`),
        )
      : h("p", { class: "small faint" }, "None yet."),
  );
}

/** @param {Job} job */
function files(job) {
  const own = job.files.filter((file) => file.name !== "mean.png");
  return h(
    "details",
    { class: "more" },
    h("summary", null, "Files"),
    h(
      "ul",
      { class: "small" },
      own.map((file) =>
        h(
          "li",
          { class: "row between" },
          h("a", { class: "clip", href: fileUrl(job.id, file.name) }, file.name),
          h("span", { class: "faint" }, bytes(file.bytes)),
        ),
      ),
    ),
  );
}

start();
