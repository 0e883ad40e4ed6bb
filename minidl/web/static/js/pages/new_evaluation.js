// The form of a new evaluation: a run, one of its snapshots, and what is put before it.

import { get, path } from "../lib/api.js";
import { byId, fill, h } from "../lib/dom.js";
import { Form } from "../lib/form.js";
import { num, whole } from "../lib/format.js";
import { icon } from "../lib/icons.js";
import { empty, failed } from "../lib/states.js";

async function start() {
  try {
    const found = await get("jobs", { kind: "train" });
    const runs = found.jobs.filter((/** @type {any} */ run) => !run.adopted);
    if (runs.length) build(runs, found.devices ?? []);
    else
      fill(
        byId("form"),
        empty({
          icon: "chart",
          boxed: true,
          title: "No run yet",
          text: "An evaluation needs the weights of a run.",
          actions: [h("a", { class: "btn primary", href: "/new/run" }, icon("plus"), "New run")],
        }),
      );
  } catch (error) {
    fill(byId("form"), failed(error, start));
  }
}

/** @param {any[]} runs @param {any[]} devices */
function build(runs, devices) {
  const form = new Form("evaluate", { action: "Start the evaluation", changed });
  const wanted = document.body.dataset.id || runs[0].id;
  const run = form.choice("run", {
    label: "Run",
    required: true,
    value: wanted,
    options: runs.map((one) => [one.id, one.name === one.id ? one.id : `${one.name} (${one.id})`]),
    wide: true,
  });
  const snapshot = form.choice("snapshot", { label: "Snapshot", options: [["", "The last"]] });
  /** @type {Record<string, HTMLElement>} */
  const parts = {
    split: form.segments("split", {
      label: "Part",
      options: [
        ["val", "Validation"],
        ["test", "Test"],
        ["train", "Training"],
      ],
    }),
    folder: form.place("folder", {
      label: "Folder of pictures",
      kind: "folder",
      required: true,
      hint: "With a folder for each class, the answers are compared with them; without, they are only listed.",
    }),
    list: form.place("list", {
      label: "List of pictures",
      kind: "file",
      endings: [".txt", ".csv", ".lst", ".list"],
      required: true,
      hint: "A path and the number of its class a line.",
    }),
  };
  const gpus = devices.filter((one) => one.id !== "cpu");
  form.node.append(
    h(
      "fieldset",
      { class: "group" },
      h("legend", null, "Which net"),
      h("div", { class: "fields" }, run, snapshot),
    ),
    h(
      "fieldset",
      { class: "group" },
      h("legend", null, "On which pictures"),
      h(
        "div",
        { class: "stack" },
        form.segments("over", {
          label: "Taken from",
          options: [
            ["split", "Its dataset"],
            ["folder", "Another folder"],
            ["list", "A list"],
          ],
        }),
        ...Object.values(parts),
        h(
          "div",
          { class: "fields few" },
          form.number("count", { label: "Only the first", placeholder: "all", unit: "records" }),
          form.choice("device", {
            label: "Device",
            options: [
              ["cpu", "Processors"],
              ...gpus.map(
                (one) => /** @type {[string, string]} */ ([String(one.id), one.name ?? one.id]),
              ),
            ],
          }),
          form.check("scores", { label: "Write all scores, too" }),
        ),
      ),
    ),
    h(
      "fieldset",
      { class: "group" },
      h("legend", null, "Name"),
      h(
        "div",
        { class: "fields few" },
        form.text("name", { label: "Name", placeholder: "as the part" }),
      ),
    ),
    form.foot(),
  );
  let shown = "";

  async function changed() {
    const over = form.get("over") || "split";
    for (const [name, part] of Object.entries(parts)) part.hidden = name !== over;
    const id = form.get("run");
    if (id === shown) return;
    shown = id;
    const job = await get(`job/${path(id)}`).catch(() => null);
    if (!job || id !== shown) return;
    const select = /** @type {HTMLSelectElement} */ (form.fields.get("snapshot")?.control);
    fill(
      select,
      h("option", { value: "" }, "The last"),
      job.snapshots
        .filter((/** @type {any} */ one) => one.weights)
        .toReversed()
        .map((/** @type {any} */ one) =>
          h(
            "option",
            { value: String(one.iter) },
            `Iteration ${whole(one.iter)}${one.epoch ? `, epoch ${num(one.epoch, 3)}` : ""}`,
          ),
        ),
    );
  }

  fill(byId("form"), form.node);
  form.changed();
}

start();
