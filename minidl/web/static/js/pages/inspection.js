// Inside a net: what each layer holds, and what it makes of one picture, as tiles with statistics.

import { fileUrl, get, jobUrl, path } from "../lib/api.js";
import { histogram } from "../lib/bars.js";
import { open } from "../lib/dialog.js";
import { byId, fill, h } from "../lib/dom.js";
import { num, percent, plural, whole } from "../lib/format.js";
import { icon } from "../lib/icons.js";
import { crumb, JobHead } from "../lib/jobhead.js";
import { tops } from "../lib/pictures.js";
import { empty, failed } from "../lib/states.js";
import { choices } from "../lib/store.js";

/** @typedef {import("../lib/types.js").Job} Job */
/** @typedef {{name: string, kind: "weight"|"activation", shape: number[], mean: number|null,
 *             std: number|null, min: number|null, max: number|null, zeros: number|null,
 *             idle?: number|null, bad?: number, counts: number[], edges: [number, number],
 *             picture: string|null, tiles: [number, number, number, number]|null, cut?: string,
 *             why_not?: string}} Shown  an array; tiles: rows, columns, height, width */
/** @typedef {{name: string, type: string, params: number, arrays: Shown[]}} Layer */
/** @typedef {{picture: string|null, top: [string, number][], params: number,
 *             layers: Layer[]}} Inside */

const WIDE = 520; // pixels that a picture takes at most on the page
const SMALL = 132; // and at least, where it is enlarged
const id = document.body.dataset.id ?? "";
const view = choices("inspection", { kind: "all" }, ["kind"]);

async function start() {
  try {
    await JobHead.open(byId("head"), id, {
      crumbs: (job) => [crumb(job.parents?.run, { tab: "test" })],
      facts: (job) =>
        job.parents?.run
          ? [
              h(
                "span",
                { class: "muted" },
                "of ",
                h("a", { href: jobUrl(job.parents.run, { tab: "test" }) }, job.parents.run),
              ),
            ]
          : [],
      ready: draw,
    });
  } catch (error) {
    fill(byId("content"), failed(error, start));
    return;
  }
  if (byId("content").querySelector(".loading > .skeleton")) fill(byId("content"));
}

/** @param {Job} job */
async function draw(job) {
  try {
    const found = /** @type {Inside} */ (await get(`shown/${path(job.id)}`));
    fill(byId("content"), page(found));
  } catch (error) {
    fill(
      byId("content"),
      failed(error, () => draw(job)),
    );
  }
}

/** @param {Inside} found */
function page(found) {
  const list = h("div", { class: "stack loose" });
  const search = h("input", {
    type: "search",
    placeholder: "Find a layer",
    "aria-label": "Find a layer",
    oninput: () => drawLayers(),
  });
  const radios = ["all", "activation", "weight"].map((kind) =>
    h(
      "label",
      null,
      h("input", {
        type: "radio",
        name: "kind",
        value: kind,
        checked: view.get("kind") === kind,
        onchange: () => {
          view.set("kind", kind);
          drawLayers();
        },
      }),
      h("span", null, { all: "All", activation: "Activations", weight: "Weights" }[kind]),
    ),
  );
  const drawLayers = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const kind = view.get("kind");
    const shown = found.layers
      .filter((layer) =>
        words.every((word) => `${layer.name} ${layer.type}`.toLowerCase().includes(word)),
      )
      .map((layer) => ({
        ...layer,
        arrays: layer.arrays.filter((array) => kind === "all" || array.kind === kind),
      }))
      .filter((layer) => layer.arrays.length);
    fill(
      list,
      shown.map(section),
      !shown.length && empty({ icon: "layers", title: "No such layer" }),
    );
  };
  drawLayers();
  return h(
    "div",
    { class: "stack loose" },
    h(
      "section",
      { class: "card inside-head", "aria-label": "The picture and the answer" },
      found.picture &&
        h("img", {
          class: "mean-picture",
          src: fileUrl(id, found.picture),
          alt: "The picture as the net sees it",
          width: 200,
          height: 200,
        }),
      h(
        "div",
        { class: "stack grow" },
        found.top.length > 0 && h("h2", { class: "wrap" }, found.top[0][0]),
        found.top.length > 0 && tops(found.top),
        h(
          "p",
          { class: "small muted" },
          `${plural(found.layers.length, "layer")}, ${whole(found.params)} parameters.`,
        ),
      ),
    ),
    h(
      "div",
      { class: "toolbar" },
      h("label", { class: "search" }, icon("search"), search),
      h("div", { class: "segmented", role: "radiogroup", "aria-label": "Arrays" }, radios),
    ),
    list,
  );
}

/** @param {Layer} layer */
function section(layer) {
  return h(
    "section",
    { class: "card flush inside-layer", "aria-label": layer.name },
    h(
      "div",
      { class: "card-head" },
      h("h2", { class: "wrap" }, layer.name),
      h(
        "span",
        { class: "muted small" },
        layer.type,
        layer.params ? `, ${plural(layer.params, "parameter")}` : "",
      ),
    ),
    layer.arrays.map((array) => row(array, layer)),
  );
}

/** @param {Shown} array @param {Layer} layer */
function row(array, layer) {
  const facts = /** @type {[string, string|false|undefined|null][]} */ ([
    ["Shape", array.shape.join(" × ")],
    ["Mean", num(array.mean)],
    ["Std", num(array.std)],
    ["Least", num(array.min)],
    ["Greatest", num(array.max)],
    ["Zeros", typeof array.zeros === "number" && percent(array.zeros, 1)],
    ["Idle", array.idle ? `${plural(array.idle, "channel")}` : false],
    ["Not finite", array.bad ? whole(array.bad) : false],
  ]);
  const named = array.kind === "weight" ? array.name.replace(`${layer.name} `, "") : array.name;
  return h(
    "div",
    { class: "inside-array" },
    h(
      "div",
      { class: "stack tight" },
      h(
        "h3",
        { class: "wrap" },
        named,
        h("span", { class: "faint small" }, array.kind === "weight" ? " weights" : " activation"),
      ),
      array.picture && array.tiles
        ? tiles(array, layer)
        : h("p", { class: "small faint" }, `Not drawn: ${array.why_not || "it is too large"}.`),
      array.cut && h("p", { class: "small faint" }, `Shown: ${array.cut}.`),
    ),
    h(
      "div",
      { class: "inside-facts" },
      h(
        "dl",
        null,
        facts
          .filter(([, value]) => value)
          .map(([name, value]) => h("div", null, h("dt", null, name), h("dd", null, value))),
      ),
      histogram(array.counts, array.edges),
    ),
  );
}

/** The pixels of a picture of tiles. @param {[number, number, number, number]} of @returns {[number, number]} width, height */
function extent([rows, columns, high, wide]) {
  const gap = high === 1 && wide === 1 ? 0 : 1;
  return [columns * (wide + gap) - gap, rows * (high + gap) - gap];
}

/** @param {Shown} array @param {Layer} layer */
function tiles(array, layer) {
  const of = /** @type {[number, number, number, number]} */ (array.tiles);
  const [wide, high] = extent(of);
  const least = Math.max(1, Math.ceil(SMALL / Math.max(wide, high)));
  const factor = Math.max(
    1,
    Math.min(Math.floor(WIDE / wide), Math.max(least, Math.floor(360 / Math.max(wide, high)))),
  );
  const image = h("img", {
    src: fileUrl(id, array.picture ?? ""),
    alt: `${array.name} as ${of[0] * of[1]} tiles of ${of[2]} × ${of[3]}`,
    loading: "lazy",
    decoding: "async",
    width: wide * factor,
    height: high * factor,
  });
  return h(
    "button",
    {
      class: "tiles",
      type: "button",
      title: "Enlarge",
      "aria-label": `Enlarge ${array.name}`,
      onclick: () => zoom(array, layer),
    },
    image,
  );
}

/** @param {Shown} array @param {Layer} layer */
function zoom(array, layer) {
  const of = /** @type {[number, number, number, number]} */ (array.tiles);
  const [wide, high] = extent(of);
  const image = h("img", { src: fileUrl(id, array.picture ?? ""), alt: array.name });
  const out = h("output", null, "");
  const said = h(
    "p",
    { class: "small muted", role: "status" },
    `${plural(of[0] * of[1], "tile")} of ${of[2]} × ${of[3]}`,
  );
  const first = Math.max(1, Math.min(24, Math.floor(840 / wide)));
  const slide = h("input", {
    type: "range",
    min: 1,
    max: 32,
    value: first,
    "aria-label": "Zoom",
    oninput: () => scale(),
  });
  const scale = () => {
    image.style.width = `${wide * Number(slide.value)}px`;
    image.style.height = `${high * Number(slide.value)}px`;
    out.textContent = `${slide.value} ×`;
  };
  image.addEventListener("pointermove", (event) => {
    const gap = of[2] === 1 && of[3] === 1 ? 0 : 1;
    const factor = Number(slide.value);
    const column = Math.min(of[1] - 1, Math.floor(event.offsetX / factor / (of[3] + gap)));
    const line = Math.min(of[0] - 1, Math.floor(event.offsetY / factor / (of[2] + gap)));
    said.textContent = `Tile ${line * of[1] + column}: row ${line}, column ${column}`;
  });
  scale();
  const box = open({
    title: `${layer.name}: ${array.name}`,
    wide: true,
    body: [
      h("div", { class: "row between" }, h("label", { class: "range" }, "Zoom", slide, out), said),
      h(
        "div",
        { class: "tiles-large", tabindex: "0", role: "group", "aria-label": "The tiles, enlarged" },
        image,
      ),
    ],
    footer: h(
      "button",
      { class: "btn primary", type: "button", onclick: () => box.close("") },
      "Close",
    ),
  });
}

start();
