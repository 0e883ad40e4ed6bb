// What stands in place of content: while it loads, when there is none, when it failed.
//
//   loading(rows)    empty({icon, title, text, actions})    failed(error, again)
//   notice("warn", "text or nodes", actions)    problem(error)    (its sentences, as nodes)
//   await show(host, () => get(...), (found) => nodes)    all three in turn

import { ApiError } from "./api.js";
import { fill, h } from "./dom.js";
import { icon } from "./icons.js";

/** @param {number} [rows] */
export function loading(rows = 3) {
  const made = h("div", { class: "loading", role: "status", "aria-label": "Loading" });
  for (let i = 0; i < rows; i++) made.append(h("span", { class: "skeleton" }));
  return made;
}

/** @param {{icon?: string, title: string, text?: string|Node, actions?: Node[], boxed?: boolean}} what */
export function empty(what) {
  return h(
    "div",
    { class: what.boxed ? "empty boxed" : "empty" },
    what.icon && icon(what.icon),
    h("h2", null, what.title),
    what.text && (typeof what.text === "string" ? h("p", null, what.text) : what.text),
    what.actions?.length && h("div", { class: "btn-row" }, what.actions),
  );
}

/** The sentences of an error. @param {unknown} error @returns {Node[]} */
export function problem(error) {
  const found = error instanceof ApiError ? error.problem : {};
  const message = error instanceof Error ? error.message : String(error);
  return [
    h("p", { class: "wrap" }, found.where && h("code", null, `${found.where}: `), message),
    ...(found.expected ? [h("p", { class: "small wrap" }, `Expected: ${found.expected}`)] : []),
    ...(found.fix ? [h("p", { class: "small wrap" }, `To fix it: ${found.fix}`)] : []),
  ];
}

/** @param {unknown} error @param {() => void} [again] */
export function failed(error, again) {
  const missing = error instanceof ApiError && error.status === 404;
  return h(
    "div",
    { class: "failed", role: "alert" },
    icon("alert"),
    h("h2", null, missing ? "This is not there" : "This did not work"),
    problem(error),
    again &&
      h("button", { class: "btn", type: "button", onclick: again }, icon("reset"), "Try again"),
  );
}

/**
 * @param {""|"good"|"warn"|"bad"} kind
 * @param {string|Node|(string|Node)[]} content
 * @param {Node[]} [actions]
 */
export function notice(kind, content, actions = []) {
  const names = { "": "info", good: "check", warn: "alert", bad: "alert" };
  return h(
    "div",
    { class: `notice ${kind}`, role: kind === "bad" ? "alert" : null },
    icon(names[kind]),
    h(
      "div",
      { class: "grow stack tight" },
      h("div", null, content),
      actions.length > 0 && h("div", { class: "btn-row" }, actions),
    ),
  );
}

/**
 * Show what a question is answered with in `host`.
 * @template T
 * @param {Element} host
 * @param {() => Promise<T>} ask
 * @param {(found: T) => Node|Node[]} view
 * @returns {Promise<void>}
 */
export async function show(host, ask, view) {
  if (!host.childElementCount) fill(host, loading());
  try {
    fill(host, view(await ask()));
  } catch (error) {
    fill(
      host,
      failed(error, () => show(host, ask, view)),
    );
  }
}
