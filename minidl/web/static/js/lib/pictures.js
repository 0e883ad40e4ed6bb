// Pictures of records: in a grid, large in a dialog, with boxes over them, one over another.
//
//   grid(items, {caption: (item) => [...], open: (at) => ...})     of {png, output_png, boxes, ...}
//   look({count, at, load: async (at) => item, facts: (item) => [[name, value], ...]})    a dialog
//   source(png)    the address of a base64 picture
//   beforeAfter(item)    a slider between input and output    overlay(item)    a map over its picture

import { open } from "./dialog.js";
import { fill, h, s } from "./dom.js";
import { num, percent } from "./format.js";
import { icon } from "./icons.js";
import { failed } from "./states.js";

/** @typedef {import("./dom.js").Child} Child */
/** @typedef {{index: number, name: string, png?: string|null, output_png?: string|null,
 *             target_png?: string|null, why_not?: string, size?: number[], truth?: string|null,
 *             predicted?: string, score?: number, loss?: number, psnr?: number, accuracy?: number,
 *             top?: [string, number][], label?: number|null, class?: string,
 *             boxes?: Box[], objects?: Box[]}} Item */
/** @typedef {[string, number, number, number, number, number]} Box  label, score, x1, y1, x2, y2 */

/** @param {string} png */
export const source = (png) => `data:image/png;base64,${png}`;

/** @param {Item} item @param {string|null|undefined} png @param {string} alt */
function picture(item, png, alt) {
  if (!png) return h("span", { class: "shot-none small faint" }, item.why_not ?? "No picture");
  return h("img", { src: source(png), alt, width: 96, height: 96, decoding: "async" });
}

/**
 * @param {Item[]} items
 * @param {{caption: (item: Item) => Child|Child[], open: (at: number) => void, label: string,
 *          wrong?: (item: Item) => boolean}} options
 */
export function grid(items, options) {
  const several = items.some((item) => item.output_png || item.target_png);
  return h(
    "ul",
    { class: several ? "gallery several" : "gallery", "aria-label": options.label },
    items.map((item, at) => {
      const said = item.truth ?? item.class ?? "";
      const boxed = item.boxes?.length || item.objects?.length;
      const parts = /** @type {[string|null|undefined, string][]} */ (
        several
          ? [
              [item.png, "Input"],
              [item.output_png, "Output"],
              [item.target_png, "Target"],
            ]
          : [[item.png, `Record ${item.index}${said ? `, ${said}` : ""}`]]
      ).filter(([png], i) => png || !i);
      return h(
        "li",
        null,
        h(
          "button",
          {
            class: `shot${options.wrong?.(item) ? " wrong" : ""}`,
            type: "button",
            onclick: () => options.open(at),
          },
          h(
            "span",
            { class: "shot-parts" },
            parts.map(([png, alt]) =>
              h(
                "span",
                { class: "shot-picture" },
                picture(item, png, alt),
                boxed && boxesOver(item),
              ),
            ),
          ),
          h("span", { class: "shot-words" }, options.caption(item)),
        ),
      );
    }),
  );
}

/** The boxes of an item over its picture, wherever that stands in its frame. @param {Item} item */
export function boxesOver(item) {
  const [high, wide] = item.size ?? [100, 100];
  const draw = (/** @type {Box} */ box, /** @type {string} */ kind) => {
    const [label, score, x1, y1, x2, y2] = box;
    const words = kind === "found" ? `${label} ${percent(score, 0)}` : label;
    return s(
      "g",
      { class: kind },
      s("rect", {
        x: x1 * wide,
        y: y1 * high,
        width: Math.max(0, x2 - x1) * wide,
        height: Math.max(0, y2 - y1) * high,
      }),
      s("title", null, words),
    );
  };
  return s(
    "svg",
    { class: "boxes", viewBox: `0 0 ${wide} ${high}`, "aria-hidden": "true" },
    (item.objects ?? []).map((box) => draw(box, "object")),
    (item.boxes ?? []).map((box) => draw(box, "found")),
  );
}

/** Two pictures, one over the other, with a slider between them. @param {string} before @param {string} after @param {[string, string]} names */
export function beforeAfter(before, after, names = ["Input", "Output"]) {
  const top = h("img", { src: source(before), alt: names[0], class: "over" });
  const slide = h("input", {
    type: "range",
    min: 0,
    max: 100,
    value: 50,
    "aria-label": `How much of ${names[0].toLowerCase()} is shown`,
    oninput: () => cut(),
  });
  const line = h("span", { class: "cut", "aria-hidden": "true" });
  const cut = () => {
    top.style.clipPath = `inset(0 ${100 - Number(slide.value)}% 0 0)`;
    line.style.left = `${slide.value}%`;
  };
  cut();
  return h(
    "div",
    { class: "beforeafter" },
    h("div", { class: "stage" }, h("img", { src: source(after), alt: names[1] }), top, line),
    h("label", { class: "range" }, h("span", null, names[0]), slide, h("span", null, names[1])),
  );
}

/** A map of classes over its picture, as opaque as one likes. @param {string} below @param {string} above @param {string} name */
export function overlay(below, above, name = "Answer") {
  const top = h("img", { src: source(above), alt: name, class: "over" });
  const slide = h("input", {
    type: "range",
    min: 0,
    max: 100,
    value: 55,
    "aria-label": `How opaque ${name.toLowerCase()} is`,
    oninput: () => (top.style.opacity = String(Number(slide.value) / 100)),
  });
  top.style.opacity = "0.55";
  return h(
    "div",
    { class: "beforeafter" },
    h("div", { class: "stage" }, h("img", { src: source(below), alt: "Input" }), top),
    h("label", { class: "range" }, h("span", null, "Picture"), slide, h("span", null, name)),
  );
}

/** Answers with their shares as bars. @param {[string, number][]} top @param {string|null|undefined} [truth] */
export function tops(top, truth) {
  return h(
    "ol",
    { class: "tops" },
    top.map(([label, score]) =>
      h(
        "li",
        { class: label === truth ? "right" : null },
        h(
          "span",
          { class: "clip", title: label },
          label,
          label === truth && h("span", { class: "sr" }, " (right)"),
        ),
        h("progress", { max: 1, value: score, "aria-label": label }),
        h("span", { class: "num small" }, percent(score, 2)),
      ),
    ),
  );
}

/** What there is to see of an item, large. @param {Item} item @param {"segmentation"|"pairs"|string} task */
export function large(item, task) {
  if (task === "segmentation" && item.png && item.output_png)
    return h(
      "div",
      { class: "large-parts" },
      overlay(item.png, item.output_png),
      item.target_png && overlay(item.png, item.target_png, "Target"),
    );
  if (item.png && item.output_png)
    return h(
      "div",
      { class: "large-parts" },
      beforeAfter(item.png, item.output_png),
      item.target_png && beforeAfter(item.output_png, item.target_png, ["Output", "Target"]),
    );
  if (item.png && item.target_png)
    return h(
      "div",
      { class: "large-parts" },
      beforeAfter(item.png, item.target_png, ["Input", "Target"]),
    );
  if (!item.png) return h("p", { class: "muted" }, item.why_not ?? "There is no picture of it.");
  const boxed = item.boxes || item.objects;
  return h(
    "div",
    { class: "stage alone" },
    h("img", { src: source(item.png), alt: item.name }),
    boxed && boxesOver(item),
  );
}

/**
 * Look at records one by one: arrow keys go on.
 * @param {{count: number, at: number, load: (at: number) => Promise<Item>, task?: string,
 *          facts: (item: Item) => [string, Child][], more?: (item: Item) => Child[]}} what
 */
export function look(what) {
  let at = what.at;
  const place = h("div", { class: "look" });
  const step = (
    /** @type {number} */ by,
    /** @type {string} */ name,
    /** @type {string} */ drawing,
  ) =>
    h(
      "button",
      { class: "btn", type: "button", "aria-label": name, onclick: () => go(at + by) },
      icon(drawing),
      name,
    );
  const back = step(-1, "Before", "up");
  const on = step(1, "Next", "down");
  const box = open({
    title: "Record",
    wide: true,
    body: place,
    footer: [
      back,
      on,
      h("button", { class: "btn primary", type: "button", onclick: () => box.close("") }, "Close"),
    ],
  });
  const title = /** @type {HTMLElement} */ (box.querySelector("h2"));
  box.addEventListener("keydown", (event) => {
    if (event.target instanceof HTMLInputElement) return; // a slider
    if (event.key === "ArrowLeft") go(at - 1);
    if (event.key === "ArrowRight") go(at + 1);
  });

  /** @param {number} to */
  async function go(to) {
    if (to < 0 || to >= what.count) return;
    at = to;
    back.disabled = at === 0;
    on.disabled = at === what.count - 1;
    try {
      const item = await what.load(at);
      if (to !== at) return;
      title.textContent = `Record ${item.index}`;
      fill(
        place,
        h("div", { class: "look-picture" }, large(item, what.task ?? "")),
        h(
          "div",
          { class: "stack" },
          h(
            "dl",
            { class: "net-kv" },
            what
              .facts(item)
              .flatMap(([name, value]) => [h("dt", null, name), h("dd", null, value)]),
          ),
          item.top && tops(item.top, item.truth),
          item.boxes && boxList(item.boxes),
          ...(what.more?.(item) ?? []),
        ),
      );
    } catch (error) {
      fill(
        place,
        failed(error, () => go(to)),
      );
    }
  }
  go(at);
}

/** @param {Box[]} boxes */
export function boxList(boxes) {
  if (!boxes.length) return h("p", { class: "muted" }, "No object was found.");
  return h(
    "ol",
    { class: "tops" },
    boxes
      .slice(0, 20)
      .map(([label, score, x1, y1, x2, y2]) =>
        h(
          "li",
          { title: [x1, y1, x2, y2].map((value) => num(value, 3)).join(", ") },
          h("span", { class: "clip" }, label),
          h("progress", { max: 1, value: score, "aria-label": label }),
          h("span", { class: "num small" }, percent(score, 1)),
        ),
      ),
  );
}

/** Links to other pages of a list; `go` gets an offset. @param {{total: number, offset: number, count: number, last?: boolean, go: (offset: number) => void}} what  last: the second one of a page */
export function pager(what) {
  const { total, offset, count } = what;
  const last = Math.max(0, Math.floor((total - 1) / count) * count);
  const button = (
    /** @type {string} */ text,
    /** @type {number} */ to,
    /** @type {boolean} */ off,
  ) =>
    h(
      "button",
      { class: "btn small", type: "button", disabled: off, onclick: () => what.go(to) },
      text,
    );
  return h(
    "nav",
    { class: "pager row between", "aria-label": what.last ? "Pages, at the end" : "Pages" },
    h(
      "p",
      { class: "small muted", role: "status" },
      total
        ? `${(offset + 1).toLocaleString("en")} to ${Math.min(total, offset + count).toLocaleString("en")} of ${total.toLocaleString("en")}`
        : "None",
    ),
    total > count &&
      h(
        "div",
        { class: "btn-row" },
        button("First", 0, offset === 0),
        button("Before", Math.max(0, offset - count), offset === 0),
        button("Next", offset + count, offset + count >= total),
        button("Last", last, offset >= last),
      ),
  );
}
