// A plain editor for text: lines with numbers, places that are wrong marked, Tab indents.
//
//   const editor = new Editor({label: "Prototxt", changed: (text) => ...})    editor.node
//   editor.text = "..."    editor.mark([{line, column, text, fix}])    editor.go(3, 5)

import { fill, h } from "./dom.js";
import { icon } from "./icons.js";

/** @typedef {{line?: number|null, column?: number|null, text: string, expected?: string,
 *             fix?: string}} Fault */

export class Editor {
  /** @param {{label: string, changed: (text: string) => void, placeholder?: string}} options */
  constructor(options) {
    this.gutter = h("pre", { class: "gutter", "aria-hidden": "true" });
    this.area = h("textarea", {
      class: "mono",
      wrap: "off",
      rows: 22,
      spellcheck: "false",
      autocapitalize: "off",
      autocomplete: "off",
      "aria-label": options.label,
      placeholder: options.placeholder,
    });
    this.faults = h("ul", { class: "faults", "aria-live": "polite" });
    this.node = h(
      "div",
      { class: "stack tight" },
      h("div", { class: "editor" }, this.gutter, this.area),
      this.faults,
    );
    this.lines = 0;
    this.area.addEventListener("input", () => {
      this.number();
      options.changed(this.area.value);
    });
    this.area.addEventListener("scroll", () => (this.gutter.scrollTop = this.area.scrollTop));
    this.area.addEventListener("keydown", (event) => this.key(event));
    /** @type {Set<number>} */
    this.bad = new Set();
    this.number();
  }

  get text() {
    return this.area.value;
  }

  set text(text) {
    this.area.value = text;
    this.number();
  }

  number() {
    const lines = this.area.value.split("\n").length;
    if (lines === this.lines) return;
    this.lines = lines;
    this.drawGutter();
  }

  drawGutter() {
    fill(
      this.gutter,
      Array.from({ length: this.lines }, (_, i) =>
        h("span", { class: this.bad.has(i + 1) ? "bad" : "" }, String(i + 1)),
      ),
    );
    this.gutter.scrollTop = this.area.scrollTop;
  }

  /** Escape, then Tab leaves the editor; else Tab indents. @param {KeyboardEvent} event */
  key(event) {
    if (event.key === "Escape") this.leaving = true;
    else if (event.key === "Tab" && !this.leaving && !event.shiftKey) {
      event.preventDefault();
      document.execCommand("insertText", false, "  ");
    } else this.leaving = false;
  }

  /** @param {Fault[]} faults */
  mark(faults) {
    this.bad = new Set(faults.map((fault) => fault.line ?? 0));
    this.drawGutter();
    fill(
      this.faults,
      faults.slice(0, 20).map((fault) => {
        const where = fault.line ? `${fault.line}${fault.column ? `:${fault.column}` : ""}` : "net";
        const more = [fault.expected && `Expected: ${fault.expected}.`, fault.fix].filter(Boolean);
        return h(
          "li",
          null,
          h(
            "button",
            {
              class: "fault",
              type: "button",
              disabled: !fault.line,
              onclick: () => this.go(fault.line ?? 1, fault.column ?? 1),
            },
            icon("alert"),
            h("code", null, where),
            h(
              "span",
              { class: "grow wrap" },
              fault.text,
              more.length > 0 && h("span", { class: "faint" }, ` ${more.join(" ")}`),
            ),
          ),
        );
      }),
    );
  }

  /** Put the cursor at a place. @param {number} line @param {number} [column] */
  go(line, column = 1) {
    const before = this.area.value.split("\n").slice(0, line - 1);
    const at = before.reduce((sum, one) => sum + one.length + 1, 0) + column - 1;
    this.area.focus();
    this.area.setSelectionRange(at, at);
    const high = parseFloat(getComputedStyle(this.area).lineHeight) || 20;
    this.area.scrollTop = Math.max(0, (line - 6) * high);
  }
}
