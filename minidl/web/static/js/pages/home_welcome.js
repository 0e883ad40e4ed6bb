// What a stranger sees first: a demonstration in one click, and the commands that do the same.

import { jobUrl, post } from "../lib/api.js";
import { toast, toastError } from "../lib/dialog.js";
import { h } from "../lib/dom.js";
import { icon } from "../lib/icons.js";
import { commandBox } from "../lib/job.js";
import { empty } from "../lib/states.js";

const DIGITS = { source: "digits", name: "digits", group: "demo" };
/** A short run that shows everything a run can show. */
const LENET = {
  name: "LeNet on digits",
  group: "demo",
  net_from: "zoo",
  net: "lenet",
  epochs: 20,
  rate: 0.02,
  policy: "poly",
  policy_values: "1",
  histograms: 1,
  samples: 1,
};
const COMMANDS = ["minidl dataset digits", "minidl train --net lenet --data data/digits"];

export function welcome() {
  const demo = h(
    "button",
    { class: "btn primary", type: "button", onclick: () => start(demo) },
    icon("play"),
    "Train LeNet on handwritten digits",
  );
  return h(
    "div",
    { class: "welcome stack loose" },
    empty({
      boxed: true,
      icon: "layers",
      title: "Nothing trained here yet",
      text:
        "Start with a demonstration: 1,797 handwritten digits, a small net, about a minute on " +
        "this machine. Or make a dataset from a folder of your own pictures, one folder for " +
        "each class.",
      actions: [demo, h("a", { class: "btn", href: "/new/dataset" }, "Use my own pictures")],
    }),
    h(
      "div",
      { class: "stack tight" },
      h("h2", null, "Or in a terminal, in this folder"),
      commandBox(COMMANDS, "Commands to start with"),
      h("p", { class: "muted small" }, "Runs that you start there appear here by themselves."),
    ),
  );
}

/** @param {HTMLButtonElement} button */
async function start(button) {
  button.disabled = true;
  try {
    const data = await post("jobs", { kind: "dataset", form: DIGITS });
    const run = await post("jobs", { kind: "train", form: { ...LENET, data: data.jobs[0].id } });
    const watch = { text: "Watch it", act: () => location.assign(jobUrl(run.jobs[0].id)) };
    toast("The digits are made, then LeNet learns them", "good", watch);
  } catch (error) {
    toastError(error);
  }
  button.disabled = false;
}
