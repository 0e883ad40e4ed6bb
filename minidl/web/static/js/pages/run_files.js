// Snapshots of a run, to load down, evaluate and go on from; and all its files.

import { apiUrl, fileUrl, get, path } from "../lib/api.js";
import { menu } from "../lib/dialog.js";
import { fill, h } from "../lib/dom.js";
import { ago, bytes, moment, num, whole } from "../lib/format.js";
import { icon } from "../lib/icons.js";
import { empty, failed, loading } from "../lib/states.js";
import { Table } from "../lib/table.js";

/** @typedef {import("./run_model.js").RunModel} RunModel */
/** @typedef {import("../lib/types.js").Snapshot} Snapshot */
/** @typedef {{name: string, bytes: number, time: number}} File */

/** @param {HTMLElement} panel @param {RunModel} run */
export async function show(panel, run) {
  fill(panel, loading(5));
  const draw = async () => {
    try {
      const job = await get(`job/${path(run.id)}`);
      snapshots.set(job.snapshots);
      files.set(job.files);
      if (!snapshots.node.isConnected) {
        fill(
          panel,
          h("h2", { class: "sr" }, "Files"),
          h("section", { class: "stack tight" }, h("h2", null, "Snapshots"), snapshots.node),
          h(
            "section",
            { class: "section" },
            h("h2", null, "Files"),
            files.node,
            h("p", { class: "small faint wrap" }, "In ", h("code", null, job.folder ?? run.id)),
          ),
        );
      }
    } catch (error) {
      fill(panel, failed(error, draw));
    }
  };
  const snapshots = snapshotTable(run);
  const files = fileTable(run);
  run.on("line", (line) => line.event === "snapshot" && draw());
  await draw();
  return { back: draw };
}

/** @param {RunModel} run */
function snapshotTable(run) {
  const more = (/** @type {HTMLElement} */ button, /** @type {Snapshot} */ one) => {
    const part = (/** @type {string} */ format) =>
      apiUrl(`download/${path(run.id)}`, { snapshot: one.iter, format });
    menu(button, [
      {
        text: "Weights (.caffemodel)",
        icon: "download",
        href: fileUrl(run.id, one.weights, true),
        download: true,
      },
      ...(one.state
        ? [
            {
              text: "Solver state",
              icon: "download",
              href: fileUrl(run.id, one.state, true),
              download: true,
            },
          ]
        : []),
      {
        text: "All that is needed (.tar.gz)",
        icon: "download",
        href: part("tar.gz"),
        download: true,
      },
      { text: "ONNX", icon: "download", href: part("onnx"), download: true },
      null,
      {
        text: "Fine-tune from it",
        icon: "layers",
        href: `/new/run?weights=${path(run.id)}&snapshot=${one.iter}`,
      },
      {
        text: "Evaluate it",
        icon: "check",
        href: `/new/evaluation?run=${path(run.id)}&snapshot=${one.iter}`,
      },
    ]);
  };
  /** @type {Table<Snapshot & {time?: number}>} */
  const table = new Table({
    label: "Snapshots",
    key: (one) => String(one.iter),
    sort: "-iter",
    empty: () =>
      empty({
        icon: "layers",
        title: "No snapshot yet",
        text: "A snapshot holds the weights and the state of the solver; a run goes on from it as if it had never stopped.",
      }),
    columns: [
      {
        id: "iter",
        label: "Iteration",
        first: true,
        value: (one) => one.iter,
        view: (one) => whole(one.iter),
      },
      {
        id: "epoch",
        label: "Epoch",
        num: true,
        value: (one) => one.epoch,
        view: (one) => (one.epoch ? num(one.epoch, 3) : ""),
      },
      {
        id: "bytes",
        label: "Size",
        num: true,
        value: (one) => one.bytes,
        view: (one) => bytes(one.bytes),
      },
      {
        id: "state",
        label: "To go on from",
        value: (one) => (one.state ? "yes" : "no"),
        view: (one) => (one.state ? "with solver state" : "weights only"),
      },
      {
        id: "time",
        label: "Written",
        num: true,
        value: (one) => one.time,
        view: (one) => ago(one.time),
      },
      {
        id: "do",
        label: "",
        title: "What can be done",
        sorts: false,
        num: true,
        value: () => null,
        view: (one) => {
          const button = h(
            "button",
            {
              class: "btn small",
              type: "button",
              "aria-haspopup": "menu",
              "aria-label": `Use the snapshot of iteration ${one.iter}`,
              onclick: () => more(button, one),
            },
            "Use",
            icon("down"),
          );
          return button;
        },
      },
    ],
  });
  return table;
}

/** @param {RunModel} run */
function fileTable(run) {
  /** @type {Table<File>} */
  const table = new Table({
    label: "Files",
    key: (file) => file.name,
    sort: "name",
    empty: () => empty({ icon: "folder", title: "The folder is empty" }),
    columns: [
      {
        id: "name",
        label: "Name",
        first: true,
        value: (file) => file.name,
        view: (file) => h("a", { class: "mono wrap", href: fileUrl(run.id, file.name) }, file.name),
      },
      {
        id: "bytes",
        label: "Size",
        num: true,
        value: (file) => file.bytes,
        view: (file) => bytes(file.bytes),
      },
      {
        id: "time",
        label: "Changed",
        num: true,
        value: (file) => file.time,
        view: (file) => h("span", { title: moment(file.time) }, ago(file.time)),
      },
      {
        id: "do",
        label: "",
        title: "Download",
        sorts: false,
        num: true,
        value: () => null,
        view: (file) =>
          h(
            "a",
            {
              class: "btn quiet icon small",
              href: fileUrl(run.id, file.name, true),
              download: true,
              "aria-label": `Download ${file.name}`,
            },
            icon("download"),
          ),
      },
    ],
  });
  return table;
}
