// DIGITS' form of the solver: the same defaults, the same formulas, and what minidl has beyond it.

import { h } from "../lib/dom.js";

/** @typedef {import("../lib/form.js").Form} Form */

const TYPES = ["SGD", "Nesterov", "AdaGrad", "RMSProp", "AdaDelta", "Adam", "AdamW"];

/** Each policy: its title, and its numbers as [label, default, unit]. @type {Record<string, [string, [string, string, string][]]>} */
const POLICIES = {
  step: [
    "Step down",
    [
      ["Step size", "33", "%"],
      ["Gamma", "0.1", ""],
    ],
  ],
  multistep: [
    "Step down at points",
    [
      ["Steps at", "50, 85", "%"],
      ["Gamma", "0.5", ""],
    ],
  ],
  fixed: ["Fixed", []],
  exp: ["Exponential decay", [["Gamma", "0.95", ""]]],
  inv: [
    "Inverse decay",
    [
      ["Gamma", "0.1", ""],
      ["Power", "0.5", ""],
    ],
  ],
  poly: ["Polynomial decay", [["Power", "3", ""]]],
  sigmoid: [
    "Sigmoid decay",
    [
      ["Step at", "50", "%"],
      ["Gamma", "0.1", ""],
    ],
  ],
  cosine: ["Cosine", []],
  plateau: [
    "When the loss stands still",
    [
      ["For", "10", "%"],
      ["Gamma", "0.1", ""],
    ],
  ],
};

export class SolverFields {
  /** @param {Form} form @param {any[]} devices */
  constructor(form, devices) {
    this.form = form;
    this.numbers = new PolicyNumbers(form);
    this.decay = form.number("weight_decay", {
      label: "Weight decay",
      hint: "Left empty: a hundredth of the rate, with a policy.",
    });
    this.momentum = form.number("momentum", { label: "Momentum", placeholder: "0.9" });
    this.rms = form.number("rms_decay", { label: "RMS decay", value: "0.99" });
    const gpus = devices.filter((one) => one.id !== "cpu");
    this.count = form.number("sample_count", { label: "How many samples", placeholder: "8" });
    this.node = h(
      "div",
      { class: "stack loose" },
      h(
        "fieldset",
        { class: "group" },
        h("legend", null, "Solver"),
        h(
          "div",
          { class: "fields few" },
          form.number("epochs", { label: "Epochs", value: "30" }),
          form.text("batch_size", {
            label: "Batch size",
            placeholder: "the net's",
            hint: "A list makes several runs: 32, 64.",
          }),
          form.number("accumulate", {
            label: "Batch accumulation",
            placeholder: "1",
            hint: "Batches of which an update is made.",
          }),
          form.number("snapshot_every", {
            label: "Snapshot every",
            value: "1",
            unit: "epochs",
            hint: "0: only at the end.",
          }),
          form.number("test_every", {
            label: "Validate every",
            value: "1",
            unit: "epochs",
            hint: "0: never.",
          }),
          form.choice("solver_type", {
            label: "Solver type",
            options: [
              ...TYPES.map((type) => /** @type {[string, string]} */ ([type, type])),
              ["", "The net's own"],
            ],
          }),
          this.momentum,
          this.rms,
          this.decay,
          form.number("seed", { label: "Random seed", placeholder: "1" }),
        ),
      ),
      h(
        "fieldset",
        { class: "group" },
        h("legend", null, "Learning rate"),
        h(
          "div",
          { class: "fields few" },
          form.text("rate", {
            label: "Rate to begin with",
            value: "0.01",
            hint: "A list makes several runs: 0.1, 0.01.",
          }),
          form.choice("policy", {
            label: "Policy",
            options: [
              ...Object.entries(POLICIES).map(
                ([name, [title]]) => /** @type {[string, string]} */ ([name, title]),
              ),
              ["", "The net's own"],
            ],
          }),
          this.numbers.node,
        ),
      ),
      h(
        "fieldset",
        { class: "group" },
        h("legend", null, "Pictures on their way in"),
        h(
          "div",
          { class: "fields few" },
          form.choice("mean", {
            label: "Subtract mean",
            options: [
              ["", "As the dataset says"],
              ["image", "Mean image"],
              ["pixel", "Mean of each channel"],
              ["none", "None"],
            ],
          }),
          form.number("crop", {
            label: "Crop",
            placeholder: "the net's",
            unit: "pixels",
            hint: "Anywhere in training, the middle elsewhere.",
          }),
          form.check("mirror", { label: "Mirror every other picture" }),
        ),
      ),
      h(
        "fieldset",
        { class: "group" },
        h("legend", null, "Watching and devices"),
        h(
          "div",
          { class: "fields few" },
          form.number("histograms", {
            label: "Histograms every",
            unit: "epochs",
            value: "1",
            hint: "Of weights, gradients and activations. 0: never.",
          }),
          form.number("samples", {
            label: "Samples every",
            unit: "epochs",
            value: "1",
            hint: "Pictures as the net sees them. 0: never.",
          }),
          this.count,
          form.choice("device", {
            label: "Device",
            options: [
              ["cpu", "Processors"],
              ...(gpus.length
                ? [/** @type {[string, string]} */ (["any", "The next free GPU"])]
                : []),
              ...gpus.map(
                (one) =>
                  /** @type {[string, string]} */ ([
                    String(one.id).replace(/^\D+/, ""),
                    one.name ?? `GPU ${one.id}`,
                  ]),
              ),
            ],
          }),
          form.number("threads", { label: "Threads", placeholder: "all" }),
        ),
      ),
    );
  }

  /** @param {Record<string, any>} values */
  changed(values) {
    this.rms.hidden = values.solver_type !== "RMSProp";
    this.momentum.hidden = ["AdaGrad", "RMSProp"].includes(values.solver_type);
    this.count.hidden = !Number(values.samples);
    this.numbers.changed(values.policy ?? "");
    const rate = parseFloat(values.rate);
    const decay = this.decay.querySelector("input");
    if (decay)
      decay.placeholder = Number.isFinite(rate) ? String(Number((rate / 100).toPrecision(4))) : "";
  }
}

/** The numbers of the policy that is chosen; together they are the field policy_values. */
class PolicyNumbers {
  /** @param {Form} form */
  constructor(form) {
    this.form = form;
    this.policy = "";
    /** @type {HTMLInputElement[]} */
    this.inputs = [];
    this.node = h("div", { class: "policy-numbers" });
    form.own("policy_values", {
      get: () => this.inputs.map((input) => input.value.replaceAll(" ", "")).join(","),
      set: (value) => this.take(String(value)),
      node: this.node,
      control: this.node,
      error: (this.error = h("p", { class: "error" })),
    });
    this.wanted = "";
  }

  /** @param {string} text "50,85,0.5" */
  take(text) {
    this.wanted = text;
    if (!this.inputs.length) return;
    const parts = text.split(",");
    const last = /** @type {HTMLInputElement} */ (this.inputs.at(-1));
    last.value = parts.at(-1) ?? "";
    if (this.inputs.length > 1) this.inputs[0].value = parts.slice(0, -1).join(", ");
  }

  /** @param {string} policy */
  changed(policy) {
    if (policy === this.policy) return;
    this.policy = policy;
    const numbers = POLICIES[policy]?.[1] ?? [];
    this.inputs = numbers.map(([, value], i) =>
      h("input", { type: "text", inputmode: "decimal", id: `policy-${i}`, value }),
    );
    this.node.replaceChildren(
      ...numbers.map(([label, , unit], i) =>
        h(
          "div",
          { class: "field" },
          h("label", { for: `policy-${i}` }, label),
          unit
            ? h("div", { class: "with-unit" }, this.inputs[i], h("span", { class: "unit" }, unit))
            : this.inputs[i],
        ),
      ),
      this.error ?? "",
    );
    this.node.hidden = !numbers.length;
    if (this.wanted) this.take(this.wanted);
    this.wanted = "";
  }
}
