// The form of a new data set: from a folder, from lists, of stores in place, or of pairs.

import { post, path } from "../lib/api.js";
import { byId, fill, h, later } from "../lib/dom.js";
import { Form } from "../lib/form.js";
import { notice, problem } from "../lib/states.js";
import { Preview } from "./new_dataset_preview.js";
import { Scan } from "./new_dataset_scan.js";

const SOURCES = /** @type {[string, string, string][]} */ ([
  ["folder", "Folder", "A folder of pictures with a folder for each class in it."],
  ["lists", "Lists", "Text files that name pictures and the numbers of their classes, one a line."],
  [
    "store",
    "Existing store",
    "LMDB, LevelDB or HDF5 that is there already. It is described in place; nothing is copied.",
  ],
  [
    "pairs",
    "Pairs",
    "Two folders with pictures of the same names: what goes in, and what should come out. For denoising and segmentation.",
  ],
  [
    "digits",
    "Example",
    "1,797 handwritten digits of 28 × 28, which come with minidl: something to try a net on at once.",
  ],
]);

const ENCODINGS = /** @type {[string, string][]} */ ([
  ["png", "PNG, lossless"],
  ["jpg", "JPEG, quality 90"],
  ["none", "None, raw pixels"],
]);

const query = new URLSearchParams(location.search);
const form = new Form("dataset", { action: "Create dataset", changed });

const scan = new Scan((folder, picture) => preview.show(folder, picture));
const preview = new Preview();

// of pairs: the one for pictures, the other for classes
const targetColour = form.choice("target_color", {
  label: "Colours of targets",
  options: [
    ["", "As they are"],
    ["color", "Colour"],
    ["gray", "Grey"],
  ],
});
const names = form.place("pairs:labels", {
  label: "Names of the classes",
  kind: "file",
  endings: [".txt", ".csv", ".names"],
  hint: "One a line, the first of class 0.",
});

/** @type {Record<string, HTMLElement>} */
const parts = {
  folder: folderPart(),
  lists: listsPart(),
  store: storePart(),
  pairs: pairsPart(),
};
const about = h("p", { class: "muted" });
const pictures = picturesPart();
const split = h(
  "fieldset",
  { class: "group" },
  h("legend", null, "Who learns from what"),
  h(
    "div",
    { class: "fields few" },
    form.number("val", { label: "For validation", value: "25", unit: "%" }),
    form.number("test", { label: "For test", value: "0", unit: "%" }),
    form.number("seed", {
      label: "Seed",
      placeholder: "0",
      hint: "The same seed splits the same way.",
    }),
  ),
);
let usually = "25";

function build() {
  const source = form.segments("source", {
    label: "Made from",
    options: SOURCES.map(([value, text]) => [value, text]),
    value: query.get("kind") ?? "folder",
    wide: true,
  });
  form.node.append(
    h("div", { class: "stack" }, source, about),
    ...Object.values(parts),
    split,
    pictures,
    h(
      "fieldset",
      { class: "group" },
      h("legend", null, "Name"),
      h(
        "div",
        { class: "fields few" },
        form.text("name", { label: "Name", placeholder: "as the folder" }),
        form.text("group", { label: "Group", hint: "Jobs of a group stand together." }),
      ),
    ),
    form.foot(),
  );
  fill(byId("form"), form.node);
}

function folderPart() {
  return h(
    "fieldset",
    { class: "group" },
    h("legend", null, "Pictures"),
    h(
      "div",
      { class: "fields" },
      form.place("pictures", {
        label: "Folder of pictures",
        required: true,
        kind: "folder",
        value: query.get("folder") ?? "",
        placeholder: "pictures/pets",
        hint: "A folder for each class, with pictures at any depth. Nothing in it is changed.",
      }),
      h("div", { class: "wide" }, scan.node),
      h(
        "details",
        { class: "wide more" },
        h("summary", null, "Separate folders, and limits for classes"),
        h(
          "div",
          { class: "fields" },
          form.number("min", {
            label: "Fewest of a class",
            placeholder: "2",
            hint: "Smaller classes are left out.",
          }),
          form.number("max", { label: "Most of a class", placeholder: "all" }),
          form.place("val_from", {
            label: "Validation pictures from another folder",
            kind: "folder",
            hint: "With the same classes. No share of the training pictures is taken then.",
          }),
          form.place("test_from", { label: "Test pictures from another folder", kind: "folder" }),
        ),
      ),
    ),
  );
}

function listsPart() {
  const endings = [".txt", ".csv", ".lst", ".list"];
  const file = (
    /** @type {string} */ name,
    /** @type {string} */ label,
    /** @type {string} */ hint = "",
    required = false,
  ) => form.place(`lists:${name}`, { label, kind: "file", endings, hint, required, wide: true });
  return h(
    "fieldset",
    { class: "group" },
    h("legend", null, "Lists"),
    h("p", { class: "muted" }, "A line: ", h("code", null, "cats/tom.jpg 3")),
    h(
      "div",
      { class: "fields" },
      file("train", "Pictures to learn from", "", true),
      file("val", "Pictures for validation"),
      file("test", "Pictures for test"),
      file("labels", "Names of the classes", "One a line, the first of class 0."),
      form.check("in_order", {
        label: "Keep the order of the lists",
        hint: "Otherwise they are mixed.",
        wide: true,
      }),
      form.place("lists:folder", {
        label: "Folder that paths in the lists start from",
        kind: "folder",
        placeholder: "that of the list",
      }),
    ),
  );
}

function storePart() {
  // The same names of fields as in the part before: only one of them is shown at a time.
  const place = (
    /** @type {string} */ name,
    /** @type {string} */ label,
    /** @type {"folder"|"file"|"any"} */ kind,
    /** @type {string} */ hint = "",
    required = false,
  ) => form.place(name, { label, kind, hint, required, wide: true });
  return h(
    "fieldset",
    { class: "group" },
    h("legend", null, "Stores"),
    h(
      "div",
      { class: "fields" },
      place(
        "store:train",
        "Records to learn from",
        "any",
        "The folder of an LMDB or LevelDB, or an HDF5 file or a list of them.",
        true,
      ),
      place("store:val", "Records for validation", "any"),
      place("store:test", "Records for test", "any"),
      place("store:labels", "Names of the classes", "file", "One a line."),
      place("mean_file", "Mean image", "file", "A .binaryproto; left empty, it is computed."),
    ),
  );
}

function pairsPart() {
  return h(
    "fieldset",
    { class: "group" },
    h("legend", null, "Pairs"),
    h(
      "div",
      { class: "fields" },
      form.place("inputs", {
        label: "Folder of inputs",
        required: true,
        kind: "folder",
        hint: "What the net sees.",
      }),
      form.place("targets", {
        label: "Folder of targets",
        required: true,
        kind: "folder",
        hint: "What it should make of them: pictures with the same names, whatever their endings.",
      }),
      form.segments("targets_are", {
        label: "Targets are",
        options: [
          ["image", "Pictures"],
          ["classes", "Classes of pixels"],
        ],
      }),
      targetColour,
      names,
    ),
  );
}

function picturesPart() {
  return h(
    "fieldset",
    { class: "group" },
    h("legend", null, "How pictures are stored"),
    h(
      "div",
      { class: "stack" },
      h(
        "div",
        { class: "fields few" },
        form.text("size", {
          label: "Size",
          value: "256",
          hint: "One number, or height, width.",
        }),
        form.choice("color", {
          label: "Colours",
          options: [
            ["", "As they are"],
            ["color", "Colour"],
            ["gray", "Grey"],
          ],
        }),
        form.choice("encoding", { label: "Encoding", options: ENCODINGS }),
        form.choice("mean", {
          label: "Mean to subtract",
          options: [
            ["image", "Mean image"],
            ["pixel", "Mean of each channel"],
            ["none", "None"],
          ],
        }),
      ),
      form.own("resize", {
        get: () => preview.mode,
        set: (value) => preview.take(String(value)),
        node: preview.node,
        control: preview.cards,
        error: preview.error,
      }),
    ),
  );
}

const rescan = later(350, (/** @type {string} */ folder) => scan.look(folder));

function changed() {
  const source = form.get("source") || "folder";
  for (const [name, part] of Object.entries(parts)) part.hidden = name !== source;
  split.hidden = source !== "folder" && source !== "pairs";
  pictures.hidden = source === "store" || source === "digits";
  about.textContent = SOURCES.find(([name]) => name === source)?.[2] ?? "";
  usual(source === "pairs" ? "10" : "25");
  const mapped = form.get("targets_are") === "classes";
  targetColour.hidden = mapped;
  names.hidden = !mapped;
  preview.bare(source !== "folder" && source !== "pairs");
  const folder = source === "pairs" ? form.get("inputs") : form.get("pictures");
  preview.settings({
    size: form.get("size") || "256",
    gray: form.get("color") === "gray",
  });
  if (source === "folder") rescan(folder);
  else if (source === "pairs") preview.show(folder, "");
}

/** The share for validation that a kind of data set has unless one says another. @param {string} share */
function usual(share) {
  if (form.get("val") === usually && share !== usually) form.fields.get("val")?.set(share);
  usually = share;
}

/** @param {string} id */
async function clone(id) {
  try {
    const found = await post(`clone/${path(id)}`);
    const { source } = found.form;
    if (source !== "folder")
      for (const name of ["train", "val", "test", "labels", "folder"])
        found.form[`${source}:${name}`] = found.form[name];
    form.set(found.form);
  } catch (error) {
    form.node.prepend(notice("warn", problem(error)));
    changed();
  }
}

build();
if (query.get("clone")) clone(query.get("clone") ?? "");
else changed();
