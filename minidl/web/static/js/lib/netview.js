// A net, drawn: zoom and pan, a panel for the layer that is chosen, and all layers as a table.
//
//   const view = new NetView()    view.set({svg, layers, totals})    view.busy(true)    view.node
//
// The drawing is `minidl draw`'s SVG. Nothing of its text becomes a part of the page as it is: each
// element is made anew, if its name and its attributes are among those that drawings have.

import { short } from "./cost.js";
import { fill, h, say } from "./dom.js";
import { bytes, whole } from "./format.js";
import { icon } from "./icons.js";
import { Table } from "./table.js";

/** @typedef {{name: string, type: string, bottoms: string[], tops: string[],
 *             top_shapes: number[][], params: number, param_shapes: Record<string, number[]>,
 *             multiply_adds: number, engine?: string, algorithm?: string, data_bytes?: number,
 *             buffers_bytes?: number}} Layer */
/** @typedef {{svg: string, layers: Layer[], totals: Record<string, number>}} Net */

const ELEMENTS = new Set(["svg", "g", "path", "rect", "text", "title", "defs", "marker", "tspan"]);
const ATTRIBUTES = new Set(
  "width height viewBox x y rx d transform fill stroke stroke-width font-size font-family font-weight font-style text-anchor marker-end id markerWidth markerHeight refX refY orient".split(
    " ",
  ),
);
const SVG = "http://www.w3.org/2000/svg";
const ZOOMS = [0.25, 0.35, 0.5, 0.7, 0.85, 1, 1.25, 1.6, 2, 3];
let views = 0;

export class NetView {
  /** @param {{table?: boolean}} [options] */
  constructor(options = {}) {
    this.key = `net${++views}`;
    this.zoom = 5;
    this.chosen = "";
    /** @type {Layer[]} */
    this.layers = [];
    /** @type {Map<string, SVGElement>} */
    this.boxes = new Map();
    this.facts = h("dl", { class: "stats" });
    this.place = h("div", {
      class: "net-place",
      tabindex: "0",
      role: "group",
      "aria-label": "Drawing of the net; the table has the same in words",
    });
    this.panel = h("aside", { class: "net-panel", "aria-live": "polite" });
    const tool = (
      /** @type {string} */ drawing,
      /** @type {string} */ label,
      /** @type {() => void} */ act,
    ) =>
      h(
        "button",
        {
          class: "btn icon small",
          type: "button",
          "aria-label": label,
          title: label,
          onclick: act,
        },
        icon(drawing),
      );
    this.percent = h("output", { class: "small faint" }, "100 %");
    this.tools = h(
      "div",
      { class: "net-tools" },
      h(
        "button",
        {
          class: "btn icon small",
          type: "button",
          "aria-label": "Smaller",
          onclick: () => this.scale(this.zoom - 1),
        },
        "−",
      ),
      this.percent,
      tool("plus", "Larger", () => this.scale(this.zoom + 1)),
      tool("columns", "Fit into the width", () => this.fit()),
    );
    this.table = new Table({
      label: "Layers of the net",
      key: (/** @type {Layer} */ layer) => layer.name,
      columns: [
        {
          id: "name",
          label: "Layer",
          first: true,
          value: (layer) => layer.name,
          sorts: false,
          view: (layer) =>
            h(
              "button",
              { class: "link", type: "button", onclick: () => this.choose(layer.name) },
              layer.name,
            ),
        },
        { id: "type", label: "Type", value: (layer) => layer.type, sorts: false },
        {
          id: "shape",
          label: "Tops",
          value: (layer) => layer.top_shapes.map(shape).join(", "),
          sorts: false,
        },
        {
          id: "params",
          label: "Parameters",
          num: true,
          value: (layer) => layer.params,
          view: (layer) => (layer.params ? whole(layer.params) : "–"),
        },
        {
          id: "cost",
          label: "Multiply-adds",
          num: true,
          value: (layer) => layer.multiply_adds,
          view: (layer) => (layer.multiply_adds ? short(layer.multiply_adds) : "–"),
        },
        {
          id: "memory",
          label: "Memory",
          num: true,
          value: (layer) => layer.data_bytes,
          view: (layer) => (layer.data_bytes ? bytes(layer.data_bytes) : "–"),
        },
      ],
    });
    this.all = h(
      "details",
      { class: "more" },
      h("summary", null, "All layers as a table"),
      this.table.node,
    );
    if (options.table) this.all.open = true;
    this.node = h(
      "div",
      { class: "stack" },
      this.facts,
      h(
        "div",
        { class: "netview" },
        h("div", { class: "net-frame" }, this.tools, this.place),
        this.panel,
      ),
      this.all,
    );
    this.pan();
    this.drawPanel();
  }

  /** @param {boolean} yes */
  busy(yes) {
    this.node.classList.toggle("dim", yes);
  }

  /** @param {Net} net */
  set(net) {
    this.busy(false);
    this.layers = net.layers.filter((layer) => layer.type !== "Split");
    const { totals } = net;
    const facts = /** @type {[string, string][]} */ ([
      ["Layers", whole(this.layers.length)],
      ["Parameters", short(totals.params)],
      ["Multiply-adds of a batch", short(totals.multiply_adds)],
      ["Memory", bytes(totals.memory_bytes ?? totals.memory)],
    ]);
    fill(
      this.facts,
      facts.map(([name, value]) =>
        h("div", { class: "stat" }, h("dt", null, name), h("dd", null, value)),
      ),
    );
    const made = net.svg ? drawing(net.svg, this.key) : null;
    this.drawn = made;
    this.wide = made ? Number(made.getAttribute("width")) || 300 : 300;
    this.high = made ? Number(made.getAttribute("height")) || 300 : 300;
    this.boxes.clear();
    if (made) this.find(made);
    fill(this.place, made);
    this.table.set(this.layers);
    this.scale(this.zoom);
    if (!this.layers.some((layer) => layer.name === this.chosen)) this.chosen = "";
    this.choose(this.chosen);
  }

  /** Find the boxes of layers, and let them be clicked. @param {SVGElement} svg */
  find(svg) {
    const names = new Set(this.layers.map((layer) => layer.name));
    for (const box of svg.querySelectorAll("g")) {
      const title = [...box.children].find((child) => child.tagName === "text")?.textContent ?? "";
      if (box.querySelector("g") || !names.has(title)) continue;
      this.boxes.set(title, box);
      box.classList.add("net-box");
      box.addEventListener("click", () => this.choose(title));
    }
  }

  /** @param {string} name */
  choose(name) {
    this.boxes.get(this.chosen)?.classList.remove("on");
    this.chosen = name;
    this.boxes.get(name)?.classList.add("on");
    this.drawPanel();
  }

  drawPanel() {
    const layer = this.layers.find((one) => one.name === this.chosen);
    if (!layer) {
      fill(
        this.panel,
        h("p", { class: "small faint" }, "Choose a layer to see its shapes, parameters and cost."),
      );
      return;
    }
    const share = (/** @type {number} */ part, /** @type {number} */ all) =>
      all ? ` (${((100 * part) / all).toFixed(part === all ? 0 : 1)} %)` : "";
    const sum = (/** @type {(layer: Layer) => number} */ of) =>
      this.layers.reduce((total, one) => total + of(one), 0);
    const rows = /** @type {[string, string][]} */ ([
      ["Type", layer.type],
      ["Bottoms", layer.bottoms.join(", ")],
      ...layer.tops.map((top, i) => [`Top ${top}`, shape(layer.top_shapes[i] ?? [])]),
      ...Object.entries(layer.param_shapes).map(([name, of]) => [`Parameter ${name}`, shape(of)]),
      [
        "Parameters",
        layer.params
          ? `${whole(layer.params)}${share(
              layer.params,
              sum((one) => one.params),
            )}`
          : "",
      ],
      [
        "Multiply-adds",
        layer.multiply_adds
          ? `${whole(layer.multiply_adds)}${share(
              layer.multiply_adds,
              sum((one) => one.multiply_adds),
            )}`
          : "",
      ],
      ["Memory of its tops", layer.data_bytes ? bytes(layer.data_bytes) : ""],
      [
        "Computed by",
        layer.engine && layer.engine !== "none"
          ? [layer.engine, layer.algorithm].filter(Boolean).join(", ")
          : "",
      ],
    ]);
    fill(
      this.panel,
      h("p", { class: "net-name wrap" }, layer.name),
      h(
        "dl",
        { class: "net-kv" },
        rows
          .filter(([, value]) => value)
          .flatMap(([name, value]) => [h("dt", null, name), h("dd", null, value)]),
      ),
    );
  }

  /** @param {number} step */
  scale(step) {
    this.zoom = Math.min(Math.max(step, 0), ZOOMS.length - 1);
    const factor = ZOOMS[this.zoom];
    say(this.percent, `${Math.round(factor * 100)} %`);
    if (!this.drawn) return;
    this.drawn.style.width = `${(this.wide ?? 300) * factor}px`;
    this.drawn.style.height = `${(this.high ?? 300) * factor}px`;
  }

  fit() {
    const room = this.place.clientWidth - 24;
    const at = ZOOMS.findLastIndex((factor) => factor * (this.wide ?? 300) <= room);
    this.scale(at < 0 ? 0 : at);
  }

  /** Drag to pan; with Ctrl the wheel zooms. */
  pan() {
    /** @type {{x: number, y: number, left: number, top: number}|null} */
    let from = null;
    this.place.addEventListener("pointerdown", (event) => {
      if (event.pointerType !== "mouse" || event.button) return;
      from = {
        x: event.clientX,
        y: event.clientY,
        left: this.place.scrollLeft,
        top: this.place.scrollTop,
      };
    });
    window.addEventListener("pointermove", (event) => {
      if (!from) return;
      this.place.scrollLeft = from.left + from.x - event.clientX;
      this.place.scrollTop = from.top + from.y - event.clientY;
    });
    window.addEventListener("pointerup", () => (from = null));
    this.place.addEventListener(
      "wheel",
      (event) => {
        if (!event.ctrlKey) return;
        event.preventDefault();
        this.scale(this.zoom + (event.deltaY < 0 ? 1 : -1));
      },
      { passive: false },
    );
    this.place.addEventListener("keydown", (event) => {
      if (event.key === "+" || event.key === "=") this.scale(this.zoom + 1);
      else if (event.key === "-") this.scale(this.zoom - 1);
      else if (event.key === "0") this.fit();
    });
  }
}

/** @param {number[]} sides */
const shape = (sides) => (sides.length ? sides.join(" × ") : "one number");

/** Make a drawing anew from its text. @param {string} text @param {string} key of its own, for ids @returns {SVGSVGElement|null} */
function drawing(text, key) {
  const found = new DOMParser().parseFromString(text, "image/svg+xml").documentElement;
  if (found.tagName !== "svg") return null;
  const made = /** @type {SVGSVGElement} */ (copy(found, key));
  const [wide, high] = [made.getAttribute("width"), made.getAttribute("height")];
  made.setAttribute("viewBox", `0 0 ${wide} ${high}`);
  const ground = made.querySelector(":scope > rect");
  if (ground?.getAttribute("width") === "100%") ground.remove();
  made.setAttribute("aria-hidden", "true");
  return made;
}

/** @param {Element} from @param {string} key @returns {SVGElement} */
function copy(from, key) {
  const made = document.createElementNS(SVG, from.tagName);
  for (const { name, value } of from.attributes) {
    if (!ATTRIBUTES.has(name)) continue;
    if (name === "id") made.setAttribute(name, `${key}-${value}`);
    else if (name === "marker-end") made.setAttribute(name, value.replace("#", `#${key}-`));
    else made.setAttribute(name, value);
  }
  for (const child of from.childNodes) {
    if (child.nodeType === Node.TEXT_NODE) made.append(child.textContent ?? "");
    else if (child instanceof Element && ELEMENTS.has(child.tagName)) made.append(copy(child, key));
  }
  return made;
}
