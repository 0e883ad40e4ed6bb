// The form of a new run: data, net, weights, solver, and beside it what it will be.

import { get, post, path } from "../lib/api.js";
import { byId, fill, h } from "../lib/dom.js";
import { Form } from "../lib/form.js";
import { failed, loading, notice, problem } from "../lib/states.js";
import { DataChoice } from "./new_run_data.js";
import { NetChoice } from "./new_run_net.js";
import { SolverFields } from "./new_run_solver.js";
import { WeightsChoice } from "./new_run_weights.js";

const DEFAULTS = [
  "epochs",
  "snapshot_every",
  "test_every",
  "solver_type",
  "rate",
  "policy",
  "histograms",
  "samples",
];
const query = new URLSearchParams(location.search);

async function start() {
  try {
    const [jobs, zoo] = await Promise.all([get("jobs"), get("zoo", { text: 1 })]);
    build(jobs, zoo);
  } catch (error) {
    fill(byId("form"), failed(error, start));
  }
}

/** @param {any} found @param {any[]} zoo */
function build(found, zoo) {
  const runs = found.jobs.filter(
    (/** @type {any} */ job) => job.kind === "train" && (job.state !== "waiting" || job.done),
  );
  const data = found.jobs.filter((/** @type {any} */ job) => job.kind === "dataset");
  const form = new Form("train", {
    action: "Start the run",
    changed: () => {
      // each of them may hide and fill in fields
      for (const part of [dataset, net, weights, solver, plan]) part?.changed(form.values());
    },
    begun: (ids, values) => {
      const group = values.group || values.name;
      location.assign(
        ids.length === 1
          ? `/job/${path(ids[0])}`
          : group
            ? `/?q=${encodeURIComponent(group)}`
            : "/",
      );
    },
  });
  const dataset = new DataChoice(form, data);
  const net = new NetChoice(form, zoo, runs, () => dataset.facts);
  const weights = new WeightsChoice(form, runs);
  const beside = h("div", null, loading(6));
  import("./new_run_plan.js").then(({ Plan }) => {
    plan = new Plan();
    beside.replaceWith(plan.node);
    plan.changed(form.values());
  });
  const solver = new SolverFields(form, found.devices ?? []);
  /** @type {import("./new_run_plan.js").Plan|undefined} */
  let plan;
  form.node.append(
    h(
      "div",
      { class: "run-form" },
      h(
        "div",
        { class: "stack loose" },
        dataset.node,
        net.node,
        weights.node,
        solver.node,
        h(
          "fieldset",
          { class: "group" },
          h("legend", null, "Name"),
          h(
            "div",
            { class: "fields few" },
            form.text("name", { label: "Name", placeholder: "net and data" }),
            form.text("group", {
              label: "Group",
              hint: "Of a sweep: its name, unless you give one.",
            }),
          ),
        ),
      ),
      beside,
    ),
    form.foot(),
  );
  fill(byId("form"), form.node);
  prefill(form, net);
}

/** @param {Form} form @param {NetChoice} net */
async function prefill(form, net) {
  const [clone, data, weights] = ["clone", "data", "weights"].map((name) => query.get(name));
  if (clone) {
    try {
      const found = (await post(`clone/${path(clone)}`)).form;
      form.set(cloned(found));
      net.take(found);
      document.title = `Clone of ${found.name} · minidl`;
    } catch (error) {
      form.node.prepend(notice("warn", problem(error)));
    }
  }
  if (data) form.set({ data });
  if (weights)
    form.set({ net_from: "run", "run:net": weights, weights_from: "run", "run:weights": weights });
  form.changed();
}

/** The fields of a form as they are called here. @param {Record<string, any>} found */
function cloned(found) {
  const { net, weights, policy_values: values, ...rest } = found;
  const from = found.net_from ?? "zoo";
  const listed = (/** @type {any} */ value) => (Array.isArray(value) ? value.join(", ") : value);
  // what a run left to its net or to minidl, the clone leaves to them, too
  const left = Object.fromEntries(
    DEFAULTS.filter((name) => !(name in found)).map((name) => [name, ""]),
  );
  return {
    ...left,
    ...rest,
    ...(found.rate ? { rate: listed(found.rate) } : {}),
    ...(found.batch_size ? { batch_size: listed(found.batch_size) } : {}),
    net_from: from,
    [`${from}:net`]: net,
    policy_values: listed(values),
    ...(weights
      ? found.snapshot || !/\.\w+$/.test(weights)
        ? { weights_from: "run", "run:weights": weights }
        : { weights_from: "file", "file:weights": weights }
      : {}),
  };
}

start();
