// The net of a run: drawn, with what each layer holds and costs, and as a table.

import { fileUrl, get, path } from "../lib/api.js";
import { fill, h } from "../lib/dom.js";
import { icon } from "../lib/icons.js";
import { NetView } from "../lib/netview.js";
import { empty, failed, loading } from "../lib/states.js";

/** @typedef {import("./run_model.js").RunModel} RunModel */

/** @param {HTMLElement} panel @param {RunModel} run */
export async function show(panel, run) {
  fill(panel, loading(6));
  try {
    const found = await get(`net/${path(run.id)}`);
    if (found.errors.length) {
      fill(
        panel,
        empty({
          icon: "alert",
          title: "The net cannot be drawn",
          text: found.errors[0].text,
        }),
      );
      return;
    }
    const view = new NetView({ table: true });
    view.set(found);
    fill(
      panel,
      h(
        "div",
        { class: "stack" },
        h(
          "div",
          { class: "row between" },
          h(
            "p",
            { class: "small muted" },
            "As it is tested. Drag to move it, Ctrl and the wheel to zoom.",
          ),
          h(
            "a",
            { class: "btn small", href: fileUrl(run.id, found.file) },
            icon("file"),
            found.file,
          ),
        ),
        view.node,
      ),
    );
  } catch (error) {
    fill(
      panel,
      failed(error, () => show(panel, run)),
    );
  }
}
