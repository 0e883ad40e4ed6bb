// Things that float: questions, menus, messages. All close with Escape and give the focus back.
//
//   if (await ask({title, body, action: "Delete", danger: true})) ...
//   const name = await askText({title, label, value, action: "Rename"})    (null: cancelled)
//   open({title, body: nodes, footer: nodes, wide})    a dialog; returns the <dialog>
//   menu(button, [{text, icon, act | href, danger, off}, null (a line), ...])
//   popover(button, nodes, {label})    a small panel at a button; returns a function that closes it
//   toast("Saved", "good")    toastError(error)

import { problem } from "./states.js";
import { byId, fill, h } from "./dom.js";
import { icon } from "./icons.js";

/** @typedef {import("./dom.js").Child} Child */

let count = 0;

/**
 * @param {{title: string, body: Child|Child[], footer: Child|Child[], wide?: boolean,
 *          onclose?: (value: string) => void, onsubmit?: (e: SubmitEvent) => void}} what
 */
export function open(what) {
  const id = `dialog-${++count}`;
  const box = h(
    "dialog",
    { class: what.wide ? "wide" : "", "aria-labelledby": id },
    h(
      "form",
      { method: "dialog", onsubmit: what.onsubmit },
      h("header", null, h("h2", { id }, what.title)),
      h("div", { class: "body" }, what.body),
      h("footer", null, what.footer),
    ),
  );
  box.addEventListener("close", () => {
    box.remove();
    what.onclose?.(box.returnValue);
  });
  box.addEventListener("click", (event) => {
    if (event.target === box) box.close(""); // outside of it
  });
  document.body.append(box);
  box.showModal();
  return box;
}

/**
 * @param {{title: string, body?: Child|Child[], action: string, danger?: boolean,
 *          cancel?: string}} what
 * @returns {Promise<boolean>}
 */
export function ask(what) {
  return new Promise((done) => {
    open({
      title: what.title,
      body: what.body ?? null,
      footer: [
        // where something is lost, the Return key loses nothing
        h(
          "button",
          { class: "btn", value: "", type: "submit", autofocus: what.danger },
          what.cancel ?? "Cancel",
        ),
        h(
          "button",
          {
            class: `btn primary${what.danger ? " danger" : ""}`,
            value: "yes",
            type: "submit",
            autofocus: !what.danger,
          },
          what.action,
        ),
      ],
      onclose: (value) => done(value === "yes"),
    });
  });
}

/**
 * @param {{title: string, label: string, value?: string, action: string, hint?: string,
 *          required?: boolean}} what
 * @returns {Promise<string|null>}
 */
export function askText(what) {
  return new Promise((done) => {
    const id = `dialog-text-${++count}`;
    const input = h("input", {
      type: "text",
      id,
      value: what.value ?? "",
      required: what.required,
      autofocus: true,
      autocomplete: "off",
    });
    const box = open({
      title: what.title,
      body: h(
        "div",
        { class: "field" },
        h("label", { for: id }, what.label),
        input,
        what.hint && h("p", { class: "hint" }, what.hint),
      ),
      footer: [
        h("button", { class: "btn", type: "button", onclick: () => box.close("") }, "Cancel"),
        h("button", { class: "btn primary", value: "yes", type: "submit" }, what.action),
      ],
      onclose: (value) => done(value === "yes" ? input.value.trim() : null),
    });
    input.select();
  });
}

/** @typedef {{text: string, icon?: string, act?: () => void, href?: string, download?: boolean,
 *             danger?: boolean, off?: boolean}} Entry */

/** @param {HTMLElement} button @param {(Entry|null)[]} entries */
export function menu(button, entries) {
  const list = h("div", {
    class: "menu",
    popover: "auto",
    role: "menu",
    "aria-label": button.getAttribute("aria-label") ?? button.textContent,
  });
  for (const entry of entries) {
    if (!entry) {
      list.append(h("hr", { role: "separator" }));
      continue;
    }
    const props = { role: "menuitem", tabindex: "-1", class: entry.danger ? "danger" : "" };
    const inside = [entry.icon && icon(entry.icon), entry.text];
    if (entry.href)
      list.append(h("a", { ...props, href: entry.href, download: entry.download }, inside));
    else {
      const act = () => {
        list.hidePopover();
        entry.act?.();
      };
      list.append(
        h("button", { ...props, type: "button", disabled: entry.off, onclick: act }, inside),
      );
    }
  }
  list.addEventListener("keydown", (event) => walk(event, list));
  float(button, list);
  /** @type {HTMLElement|null} */ (list.querySelector("[role=menuitem]:not(:disabled)"))?.focus();
}

/** Arrow keys, Home and End among the entries. @param {KeyboardEvent} event @param {HTMLElement} list */
function walk(event, list) {
  const items = /** @type {HTMLElement[]} */ ([
    ...list.querySelectorAll("[role=menuitem]:not(:disabled)"),
  ]);
  const at = items.indexOf(/** @type {HTMLElement} */ (document.activeElement));
  /** @type {Record<string, number>} */
  const steps = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: items.length - 1 };
  if (!(event.key in steps)) return;
  event.preventDefault();
  items[(steps[event.key] + items.length) % items.length]?.focus();
}

/**
 * @param {HTMLElement} button
 * @param {Child|Child[]} content
 * @param {{label: string, onclose?: () => void}} options
 * @returns {() => void}
 */
export function popover(button, content, options) {
  const box = h("div", {
    class: "popover",
    popover: "auto",
    role: "dialog",
    "aria-label": options.label,
  });
  fill(box, content);
  float(button, box, options.onclose);
  /** @type {HTMLElement|null} */ (box.querySelector("input, button, select, a"))?.focus();
  return () => box.hidePopover();
}

/** Show a panel at a button, inside the window. @param {HTMLElement} button @param {HTMLElement} box @param {() => void} [onclose] */
function float(button, box, onclose) {
  // beside the button, so that the focus comes back to it and tab order stays natural
  button.after(box);
  button.setAttribute("aria-expanded", "true");
  box.addEventListener("toggle", (event) => {
    if (/** @type {ToggleEvent} */ (event).newState !== "closed") return;
    button.setAttribute("aria-expanded", "false");
    if (box.contains(document.activeElement) || document.activeElement === document.body)
      button.focus();
    box.remove();
    onclose?.();
  });
  box.showPopover();
  const at = button.getBoundingClientRect();
  const size = box.getBoundingClientRect();
  const leftmost = Math.min(at.left, window.innerWidth - size.width - 12);
  const right = at.left + at.width / 2 > window.innerWidth / 2 ? at.right - size.width : leftmost;
  const below = at.bottom + 6 + size.height < window.innerHeight || at.top < size.height + 6;
  box.style.left = `${Math.max(12, right)}px`;
  box.style.top = `${Math.max(8, below ? at.bottom + 6 : at.top - size.height - 6)}px`;
}

/**
 * @param {string|Child[]} content
 * @param {""|"good"|"bad"} [kind]
 * @param {{text: string, act: () => void}} [action]
 */
export function toast(content, kind = "", action) {
  const shut = () => box.remove();
  const box = h(
    "div",
    { class: `toast ${kind}`, role: kind === "bad" ? "alert" : "status" },
    icon(kind === "bad" ? "alert" : kind === "good" ? "check" : "info"),
    h("div", { class: "grow wrap" }, content),
    action &&
      h(
        "button",
        { class: "btn small", type: "button", onclick: () => (shut(), action.act()) },
        action.text,
      ),
    h(
      "button",
      { class: "btn quiet icon small", type: "button", "aria-label": "Close", onclick: shut },
      icon("x"),
    ),
  );
  byId("toasts").append(box);
  if (kind !== "bad") setTimeout(shut, action ? 12_000 : 5000);
  return shut;
}

/** @param {unknown} error */
export const toastError = (error) => toast(problem(error), "bad");
