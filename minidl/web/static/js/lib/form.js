// The form of a new job: fields with their hints and errors, and the command it stands for.
//
//   const form = new Form("dataset", {action: "Create", changed: (values) => ...})
//   form.text("name", {label: "Name", hint: "...", placeholder: "cats"})    .number   .area
//   form.choice("resize", {label, options: [["squash", "Squash"], ...], value: "squash"})
//   form.segments("color", {...the same...})    form.check("mirror", {label})
//   form.place("pictures", {label, kind: "folder" | "file", endings: [".txt"]})    a path
//   form.foot()    the command, and the button that begins    form.values()    form.set({...})
//   form.own("text", {get, set, node, control})    a field made elsewhere
//
// Two fields of one name, of which one is shown at a time: "train" and "store:train". A field that stands in something hidden is left out of the values; so is an empty one. What the
// server says of a field is shown below it: at once if it was touched, of all when one begins.

import { ApiError, jobUrl, post } from "./api.js";
import { fill, h, later } from "./dom.js";
import { icon } from "./icons.js";
import { commandBox } from "./job.js";
import { problem } from "./states.js";

/** @typedef {import("./dom.js").Child} Child */
/** @typedef {{label: string, hint?: Child, value?: any, placeholder?: string, wide?: boolean,
 *             unit?: string, required?: boolean}} Look  required: nothing is asked without it */
/** @typedef {Look & {options: [string, string][]}} Options */
/** @typedef {{get: () => any, set: (value: any) => void, node: HTMLElement,
 *             control: HTMLElement, error?: HTMLElement, touched?: boolean, needed?: string}} Field
 *    needed: its label, where it may not be empty */

let count = 0;

export class Form {
  /**
   * @param {string} kind
   * @param {{action: string, changed?: (values: Record<string, any>) => void,
   *          begun?: (ids: string[], values: Record<string, any>) => void}} options
   */
  constructor(kind, options) {
    this.kind = kind;
    this.options = options;
    /** @type {Map<string, Field>} */
    this.fields = new Map();
    this.box = commandBox("");
    this.missing = h("p", { class: "hint", role: "status" });
    this.trouble = h("div");
    this.said = h("p", { class: "small muted grow" });
    this.button = h(
      "button",
      { class: "btn primary", type: "submit" },
      icon("play"),
      h("span", null, options.action),
    );
    this.node = h("form", { class: "stack loose", novalidate: true, autocomplete: "off" });
    this.node.addEventListener("submit", (event) => {
      event.preventDefault();
      this.begin();
    });
    this.asked = 0;
    this.soon = later(250, () => this.look());
  }

  // ------------------------------------------------------------------ fields

  /** @param {string} name @param {Look} look */
  text(name, look) {
    const id = this.id();
    const input = h("input", {
      type: "text",
      id,
      name,
      value: look.value ?? "",
      placeholder: look.placeholder,
      spellcheck: "false",
    });
    return this.input(name, look, input, input);
  }

  /** A number; the server checks it, so that lists may stand there, too. @param {string} name @param {Look} look */
  number(name, look) {
    const input = h("input", {
      type: "text",
      inputmode: "decimal",
      id: this.id(),
      name,
      value: look.value ?? "",
      placeholder: look.placeholder,
    });
    const shown = look.unit
      ? h("div", { class: "with-unit" }, input, h("span", { class: "unit" }, look.unit))
      : input;
    return this.input(name, look, input, shown);
  }

  /** @param {string} name @param {Options} look */
  choice(name, look) {
    const options = look.options.map(([value, text]) => h("option", { value }, text));
    const input = h("select", { id: this.id(), name }, options);
    input.value = look.value ?? look.options[0][0];
    return this.input(name, look, input, input);
  }

  /** A choice of few, side by side. @param {string} name @param {Options} look */
  segments(name, look) {
    const id = this.id();
    const radios = look.options.map(([value]) =>
      h("input", {
        type: "radio",
        name: id,
        value,
        checked: value === (look.value ?? look.options[0][0]),
      }),
    );
    const box = h(
      "div",
      { class: "segmented", role: "radiogroup", "aria-labelledby": `${id}-label` },
      look.options.map(([, text], i) => h("label", null, radios[i], h("span", null, text))),
    );
    const error = h("p", { class: "error", id: `${id}-error` });
    const node = h(
      "div",
      { class: look.wide ? "field wide" : "field" },
      h("span", { class: "label", id: `${id}-label` }, look.label),
      h("div", { class: "scroll-x" }, box),
      look.hint && h("p", { class: "hint" }, look.hint),
      error,
    );
    const get = () => radios.find((radio) => radio.checked)?.value ?? "";
    const set = (/** @type {any} */ value) => {
      for (const radio of radios) radio.checked = radio.value === String(value);
    };
    return this.own(name, { get, set, node, control: box, error });
  }

  /** @param {string} name @param {Look} look */
  check(name, look) {
    const input = h("input", { type: "checkbox", name, checked: !!look.value });
    const error = h("p", { class: "error" });
    const node = h(
      "div",
      { class: look.wide ? "field wide" : "field" },
      h("label", { class: "check" }, input, look.label),
      look.hint && h("p", { class: "hint" }, look.hint),
      error,
    );
    const get = () => input.checked || "";
    const set = (/** @type {any} */ value) => (input.checked = value === true || value === "true");
    return this.own(name, { get, set, node, control: input, error });
  }

  /** A path below the folders that are open. @param {string} name @param {Look & {kind: "folder"|"file"|"any", endings?: string[]}} look */
  place(name, look) {
    const input = h("input", {
      type: "text",
      id: this.id(),
      name,
      value: look.value ?? "",
      placeholder: look.placeholder,
      spellcheck: "false",
    });
    const browse = async () => {
      const { kind, endings, label } = look;
      const { choose } = await import("./picker.js");
      const found = await choose({ title: label, kind, endings, at: input.value });
      if (found === null) return;
      input.value = found;
      input.dispatchEvent(new Event("input", { bubbles: true }));
      input.focus();
    };
    const button = h(
      "button",
      { class: "btn", type: "button", onclick: browse, "aria-label": `Browse for: ${look.label}` },
      icon("folder"),
      "Browse",
    );
    const shown = h("div", { class: "with-button" }, input, button);
    return this.input(name, { wide: true, ...look }, input, shown);
  }

  /** @param {string} name @param {Look} look @param {HTMLInputElement|HTMLSelectElement} input @param {HTMLElement} shown */
  input(name, look, input, shown) {
    const error = h("p", { class: "error", id: `${input.id}-error` });
    const hint = look.hint && h("p", { class: "hint", id: `${input.id}-hint` }, look.hint);
    input.setAttribute(
      "aria-describedby",
      [hint && `${input.id}-hint`, error.id].filter(Boolean).join(" "),
    );
    const node = h(
      "div",
      { class: look.wide ? "field wide" : "field" },
      h("label", { for: input.id }, look.label),
      shown,
      hint,
      error,
    );
    const get = () => input.value.trim();
    const set = (/** @type {any} */ value) => (input.value = String(value));
    const needed = look.required ? look.label : undefined;
    return this.own(name, { get, set, node, control: input, error, needed });
  }

  /** @param {string} name @param {Field} field @returns {HTMLElement} */
  own(name, field) {
    this.fields.set(name, field);
    const touch = () => {
      field.touched = true;
      this.changed();
    };
    field.control.addEventListener("input", touch);
    if (field.control.tagName === "DIV") field.control.addEventListener("change", touch);
    return field.node;
  }

  id() {
    return `f${++count}`;
  }

  // ------------------------------------------------------------------ values

  values() {
    /** @type {Record<string, any>} */
    const found = {};
    for (const [name, field] of this.fields) {
      if (field.control.closest("[hidden]")) continue;
      const value = field.get();
      if (value !== "" && value !== null && value !== undefined)
        found[/** @type {string} */ (name.split(":").pop())] = value;
    }
    return found;
  }

  /** The field of a name that is not hidden. @param {string} name */
  shown(name) {
    for (const [key, field] of this.fields)
      if (key.split(":").pop() === name && !field.control.closest("[hidden]")) return field;
    return undefined;
  }

  /** @param {string} name */
  get(name) {
    return this.fields.get(name)?.get() ?? "";
  }

  /** @param {Record<string, any>} values */
  set(values) {
    for (const [name, value] of Object.entries(values)) {
      if (value !== null && value !== undefined) this.fields.get(name)?.set(value);
    }
    this.changed();
  }

  changed() {
    this.options.changed?.(this.values());
    this.soon();
  }

  // ------------------------------------------------------------------ the server's word

  foot() {
    return h(
      "div",
      { class: "form-end" },
      this.trouble,
      h(
        "section",
        { class: "stack tight", "aria-label": "Command" },
        h("h2", { class: "eyebrow" }, "The same in a terminal"),
        this.box,
        this.missing,
      ),
      h("div", { class: "form-foot" }, this.said, this.button),
    );
  }

  /** The first field that may not be empty and is. @returns {Field|undefined} */
  lacking() {
    return [...this.fields.values()].find(
      (field) => field.needed && !field.control.closest("[hidden]") && !field.get(),
    );
  }

  /** Ask what command the form stands for, and what is wrong with what was touched. */
  async look() {
    const asked = ++this.asked;
    const lacking = this.lacking();
    if (lacking) {
      this.box.classList.add("stale");
      this.box.set(`minidl ${this.kind}`);
      this.fails(null);
      this.missing.textContent = `Still missing: ${lacking.needed}.`;
      return;
    }
    try {
      const found = await post("command", { kind: this.kind, form: this.values() });
      if (asked !== this.asked) return;
      this.box.set(found.commands);
      this.box.classList.remove("stale");
      this.fails(null);
      this.many(found.commands.length);
    } catch (error) {
      if (asked !== this.asked) return;
      this.box.classList.add("stale");
      this.fails(error, true);
    }
  }

  /** @param {number} jobs */
  many(jobs) {
    const text = jobs > 1 ? `Start ${jobs} jobs` : this.options.action;
    fill(/** @type {Element} */ (this.button.lastElementChild), text);
  }

  /** Show an error at its field, or at the end of the form. @param {unknown} error @param {boolean} [gently] leave alone what nobody touched */
  fails(error, gently = false) {
    for (const field of this.fields.values()) {
      field.control.removeAttribute("aria-invalid");
      if (field.error) field.error.textContent = "";
    }
    this.missing.textContent = "";
    if (!gently) fill(this.trouble);
    if (!error) return;
    const found = error instanceof ApiError ? error.problem : {};
    const field = this.shown(found.field ?? "");
    const text = [
      error instanceof Error ? sentence(error.message) : String(error),
      found.expected && `Expected: ${found.expected}.`,
      found.fix && sentence(found.fix),
    ]
      .filter(Boolean)
      .join(" ");
    if (field?.error && (field.touched || !gently)) {
      this.blame(field, text, gently);
    } else if (gently) this.missing.textContent = text;
    else
      fill(
        this.trouble,
        h(
          "div",
          { class: "notice bad", role: "alert" },
          icon("alert"),
          h("div", { class: "stack tight" }, problem(error)),
        ),
      );
  }

  /** @param {Field} field @param {string} text @param {boolean} [gently] */
  blame(field, text, gently = false) {
    field.control.setAttribute("aria-invalid", "true");
    if (field.error) field.error.textContent = text;
    if (gently) return;
    field.control.focus();
    field.control.scrollIntoView({ block: "center" });
  }

  async begin() {
    for (const field of this.fields.values()) field.touched = true;
    const lacking = this.lacking();
    if (lacking) {
      this.fails(null);
      this.blame(lacking, `${lacking.needed}: this is missing.`);
      return;
    }
    this.button.disabled = true;
    try {
      const values = this.values();
      const { jobs } = await post("jobs", { kind: this.kind, form: values });
      const ids = jobs.map((/** @type {{id: string}} */ job) => job.id);
      if (this.options.begun) this.options.begun(ids, values);
      else location.assign(ids.length === 1 ? jobUrl(ids[0]) : "/");
    } catch (error) {
      this.button.disabled = false;
      this.fails(error);
    }
  }
}

/** @param {string} text */
function sentence(text) {
  const whole = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(whole) ? whole : `${whole}.`;
}
