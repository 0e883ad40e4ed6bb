// One picture in all four ways of bringing it to the size, side by side: what is chosen is seen.

import { post } from "../lib/api.js";
import { fill, h, later } from "../lib/dom.js";
import { icon } from "../lib/icons.js";
import { problem } from "../lib/states.js";

const MODES = /** @type {[string, string, string][]} */ ([
  ["squash", "Squash", "stretched to the size"],
  ["crop", "Crop", "its proportions, the middle of it"],
  ["fill", "Fill", "its proportions, noise beside it"],
  ["half_crop", "Half crop", "halfway between the two"],
]);
const PICTURE = /\.(png|jpe?g|bmp|ppm|gif|webp)$/i;
const SIZE = /^\d{1,5}( *[,x] *\d{1,5})?$/;
const DEPTH = 4; // folders within folders in which a picture is looked for

export class Preview {
  constructor() {
    this.mode = "squash";
    this.folder = "";
    /** @type {string[]} pictures to look at, one of each folder */
    this.pictures = [];
    this.at = 0;
    this.now = { size: "256", gray: false };
    this.asked = "";
    this.name = h("span", { class: "clip small faint" });
    this.message = h("div", { role: "status" });
    this.images = new Map(
      MODES.map(([mode, title]) => [
        mode,
        h("img", { alt: `The picture by ${title.toLowerCase()}` }),
      ]),
    );
    this.buttons = MODES.map(([mode, title, text]) =>
      h(
        "button",
        {
          class: "mode",
          type: "button",
          "aria-pressed": "false",
          data: { mode },
          onclick: () => {
            this.take(mode);
            this.cards.dispatchEvent(new Event("input", { bubbles: true }));
          },
        },
        h("span", { class: "mode-picture" }, this.images.get(mode)),
        h("b", null, title),
        h("span", { class: "small faint" }, text),
      ),
    );
    this.cards = h(
      "div",
      { class: "modes", role: "group", "aria-labelledby": "resize-label" },
      this.buttons,
    );
    this.error = h("p", { class: "error" });
    this.next = h(
      "button",
      {
        class: "btn small",
        type: "button",
        onclick: () => {
          this.at = (this.at + 1) % this.pictures.length;
          this.ask();
        },
      },
      icon("right"),
      "Another picture",
    );
    this.bar = h("div", { class: "row" }, this.next, this.name);
    this.node = h(
      "section",
      { class: "stack tight", "aria-labelledby": "resize-label" },
      h("div", { class: "field" }, h("span", { class: "label", id: "resize-label" }, "Resize")),
      this.cards,
      this.error,
      this.bar,
      this.message,
    );
    this.soon = later(150, () => this.ask());
    this.draw();
  }

  /** @param {string} mode */
  take(mode) {
    this.mode = mode;
    this.draw();
  }

  /** Without pictures, where there is none to show. @param {boolean} yes */
  bare(yes) {
    this.cards.classList.toggle("bare", yes);
    this.bar.hidden = yes;
  }

  /** @param {{size: string, gray: boolean}} now */
  settings(now) {
    this.now = now;
    this.draw();
    this.soon();
  }

  /** Take pictures of a folder. @param {string} folder @param {string} _ */
  async show(folder, _) {
    if (folder === this.folder) return;
    this.folder = folder;
    this.pictures = folder ? await sample(folder) : [];
    if (folder !== this.folder) return;
    this.at = 0;
    this.asked = "";
    this.draw();
    this.ask();
  }

  draw() {
    for (const button of this.buttons)
      button.setAttribute("aria-pressed", String(button.dataset.mode === this.mode));
    const picture = this.pictures[this.at];
    this.next.disabled = this.pictures.length < 2;
    this.name.textContent = picture ?? "Choose a folder, and one of its pictures is shown here.";
  }

  async ask() {
    const picture = this.pictures[this.at];
    this.draw();
    if (!picture) {
      for (const image of this.images.values()) image.removeAttribute("src");
      return;
    }
    const { size, gray } = this.now;
    if (!SIZE.test(size)) return;
    const key = JSON.stringify([picture, size, gray]);
    if (key === this.asked) return;
    this.asked = key;
    fill(this.message);
    try {
      // one after the other, the chosen one first: the command below wants an answer, too
      const chosen = (/** @type {[string, string, string]} */ [mode]) => Number(mode === this.mode);
      for (const [mode] of MODES.toSorted((a, b) => chosen(b) - chosen(a))) {
        const found = await post("ask/preview", { picture, size, gray, resize: mode });
        if (key !== this.asked) return;
        const image = /** @type {HTMLImageElement} */ (this.images.get(mode));
        image.src = `data:image/png;base64,${found.png}`;
        image.classList.toggle("tiny", found.size[0] < 120);
      }
    } catch (error) {
      if (key === this.asked) fill(this.message, h("div", { class: "error" }, problem(error)));
    }
  }
}

/** Paths of some pictures: one of each of the first folders. @param {string} folder @returns {Promise<string[]>} */
async function sample(folder) {
  /** @type {string[]} */
  const found = [];
  try {
    const top = await post("ask/folder", { path: folder });
    const own = first(top);
    if (own) found.push(...top.files.filter(isPicture).slice(0, 8).map(named(top)));
    for (const name of top.folders.slice(0, 8)) {
      const picture = await within(`${top.path}/${name}`, DEPTH);
      if (picture) found.push(picture);
    }
  } catch {
    // the scan says what is wrong with the folder
  }
  return found;
}

/** @param {string} folder @param {number} depth @returns {Promise<string|null>} */
async function within(folder, depth) {
  const found = await post("ask/folder", { path: folder });
  const picture = first(found);
  if (picture || !depth || !found.folders.length) return picture;
  return within(`${found.path}/${found.folders[0]}`, depth - 1);
}

/** @param {{name: string}} file */
const isPicture = (file) => PICTURE.test(file.name);

/** @param {any} listing */
const named = (listing) => (/** @type {{name: string}} */ file) =>
  `${listing.path}/${file.name}`.replace(`${listing.roots[0]}/`, "");

/** @param {any} listing @returns {string|null} */
function first(listing) {
  const file = listing.files.find(isPicture);
  return file ? named(listing)(file) : null;
}
