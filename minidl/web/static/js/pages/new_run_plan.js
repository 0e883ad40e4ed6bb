// What a run would be, before it is one: iterations, tests, snapshots, and how its rate falls.

import { ApiError, post } from "../lib/api.js";
import { ChartGroup, style } from "../lib/chart.js";
import { fill, h, later } from "../lib/dom.js";
import { plural, whole } from "../lib/format.js";

const MOST = 6; // rates of a sweep that are drawn

export class Plan {
  constructor() {
    this.asked = "";
    this.facts = h("dl", { class: "kv" });
    this.trouble = h("div", { class: "stack tight small", role: "status" });
    this.sweep = h("p", { class: "small" });
    this.group = new ChartGroup({ x: "iter", smooth: 0, log: false });
    this.chart = this.group.chart({
      title: "Learning rate",
      file: "rate",
      smooth: false,
      empty: "Choose data and a net",
    });
    this.lines = 0;
    this.log = h(
      "label",
      { class: "switch small" },
      h("input", {
        type: "checkbox",
        role: "switch",
        onchange: (/** @type {Event} */ event) =>
          this.group.set({ log: /** @type {HTMLInputElement} */ (event.target).checked }),
      }),
      "Log scale",
    );
    this.node = h(
      "section",
      { class: "run-plan stack", "aria-label": "What it will be" },
      h("h2", null, "What it will be"),
      this.trouble,
      this.sweep,
      this.facts,
      this.chart.node,
      this.log,
    );
    this.soon = later(450, (/** @type {Record<string, any>} */ values) => this.look(values));
    this.draw(null);
  }

  /** @param {Record<string, any>} values */
  changed(values) {
    const { name, group, histograms, samples, sample_count, threads, device, ...rest } = values;
    const key = JSON.stringify(rest);
    this.drawSweep(values);
    if (key === this.asked) return;
    this.asked = key;
    if (!rest.data || !(rest.net || rest.text)) {
      this.draw(null);
      fill(this.trouble);
      return;
    }
    this.facts.classList.add("dim");
    this.soon(rest);
  }

  /** @param {Record<string, any>} values */
  drawSweep(values) {
    const rates = listed(values.rate);
    const batches = listed(values.batch_size);
    const runs = Math.max(1, rates.length) * Math.max(1, batches.length);
    const lists = [
      rates.length > 1 && plural(rates.length, "rate"),
      batches.length > 1 && plural(batches.length, "batch size"),
    ].filter(Boolean);
    this.sweep.textContent = `${lists.join(" × ")}: ${runs} runs in one group. Below is the first of them.`;
    this.sweep.hidden = runs < 2;
  }

  /** @param {Record<string, any>} values */
  async look(values) {
    const key = this.asked;
    const rates = listed(values.rate).slice(0, MOST);
    const form = { ...values, batch_size: listed(values.batch_size)[0] };
    try {
      const found = await Promise.all(
        (rates.length ? rates : [undefined]).map((rate) =>
          post("ask/plan", { form: { ...form, rate } }),
        ),
      );
      if (key !== this.asked) return;
      fill(this.trouble);
      this.draw(found[0]);
      this.drawRates(found, rates);
    } catch (error) {
      if (key !== this.asked) return;
      const wrong = error instanceof ApiError ? error.problem : { message: String(error) };
      this.draw(null);
      fill(
        this.trouble,
        h(
          "div",
          { class: "notice warn" },
          h(
            "div",
            { class: "stack tight" },
            h("p", { class: "wrap" }, wrong.message),
            wrong.expected && h("p", { class: "wrap" }, `Expected: ${wrong.expected}`),
            wrong.fix && h("p", { class: "wrap" }, wrong.fix),
          ),
        ),
      );
    }
  }

  /** @param {any} plan */
  draw(plan) {
    this.facts.classList.remove("dim");
    const solver = plan?.solver ?? {};
    const none = "–";
    const every = (/** @type {number|undefined} */ count) =>
      count ? `every ${plural(count, "iteration")}` : "never";
    const rows = /** @type {[string, string][]} */ ([
      [
        "Records",
        plan
          ? Object.entries(plan.records)
              .map(([part, n]) => `${whole(/** @type {number} */ (n))} ${part}`)
              .join(", ")
          : none,
      ],
      [
        "Batch",
        plan
          ? `${whole(plan.batch_size)}${solver.iter_size > 1 ? ` × ${solver.iter_size}` : ""}`
          : none,
      ],
      ["Iterations an epoch", plan ? few(plan.epoch_iters) : none],
      ["Iterations", plan ? whole(plan.max_iter) : none],
      [
        "Tests",
        plan
          ? solver.test_interval
            ? `${every(solver.test_interval)}, on ${plan.tested_on}`
            : "never"
          : none,
      ],
      ["Snapshots", plan ? (solver.snapshot ? every(solver.snapshot) : "one at the end") : none],
      [
        "Solver",
        plan
          ? [
              solver.type ?? "SGD",
              solver.momentum !== undefined && `momentum ${few(solver.momentum)}`,
            ]
              .filter(Boolean)
              .join(", ")
          : none,
      ],
      ["Weight decay", plan ? few(solver.weight_decay ?? 0) : none],
      ["Policy", plan ? policy(solver) : none],
    ]);
    fill(
      this.facts,
      rows.flatMap(([name, value]) => [h("dt", null, name), h("dd", null, value)]),
    );
    if (!plan) this.drawRates([], []);
  }

  /** @param {any[]} plans @param {string[]} rates */
  drawRates(plans, rates) {
    for (let i = plans.length; i < this.lines; i++) this.chart.remove(`rate ${i}`);
    plans.forEach((plan, i) => {
      const id = `rate ${i}`;
      const label = rates.length > 1 ? `rate ${rates[i]}` : "rate";
      this.chart.line(id, { label, ...style(i) });
      const step = plan.max_iter / Math.max(1, plan.rates.length - 1);
      const iter = plan.rates.map((/** @type {number} */ _, /** @type {number} */ at) =>
        Math.round(at * step),
      );
      this.chart.data(id).set({ iter, time: iter.map(() => null), value: plan.rates });
    });
    this.lines = plans.length;
    this.chart.changed();
  }
}

/** A number without zeros at its end. @param {number} value */
const few = (value) =>
  Number.isInteger(value) ? whole(value) : String(Number(value.toPrecision(4)));

/** @param {any} value @returns {string[]} */
const listed = (value) =>
  String(value ?? "")
    .split(",")
    .map((part) => part.trim())
    .filter(Boolean);

/** @param {any} solver */
function policy(solver) {
  const parts = [solver.lr_policy];
  if (solver.stepsize) parts.push(`stepsize ${whole(solver.stepsize)}`);
  if (solver.stepvalue?.length) parts.push(`at ${solver.stepvalue.map(whole).join(", ")}`);
  if (solver.gamma !== undefined) parts.push(`gamma ${few(solver.gamma)}`);
  if (solver.power !== undefined) parts.push(`power ${few(solver.power)}`);
  return parts.filter(Boolean).join(", ");
}
