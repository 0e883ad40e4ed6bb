// A table of rows that sort, filter, group, are chosen, and change while one looks.
//
//   const table = new Table({
//     label: "Runs", key: (run) => run.id,
//     columns: [{id: "name", label: "Name", first: true, value: (run) => run.name,   // sorts, CSV
//                view: (run) => h("a", ...)}, {id: "loss", label: "Loss", num: true, ...}],
//     sort: "-created", onsort: (sort) => ..., pick: (keys) => ...,   // pick: with check boxes
//     search: (run) => `${run.name} ${run.group}`, group: (run) => run.group,
//   });
//   host.append(table.node)    table.set(rows)    table.put(row)    table.drop(key)
//   table.show(["name", "loss"])    table.filter("lenet")    table.rowsShown()    table.csv()
//
// A row that changed is patched cell by cell, so that the focus and a selection stay. Numbers and
// texts sort as such; empty values are last in both directions.

import { fill, frame, h, idle } from "./dom.js";
import { icon } from "./icons.js";
import { csv } from "./save.js";

/** @typedef {import("./dom.js").Child} Child */
/** @typedef {string|number|null|undefined} Value */

/**
 * @template R
 * @typedef {{id: string, label: string, title?: string, num?: boolean, first?: boolean,
 *            fixed?: boolean, value: (row: R) => Value, view?: (row: R) => Child|Child[],
 *            sorts?: boolean}} Column
 */

/**
 * @template R
 * @typedef {{label: string, key: (row: R) => string, columns: Column<R>[], shown?: string[],
 *            sort?: string, onsort?: (sort: string) => void, pick?: (keys: Set<string>) => void,
 *            search?: (row: R) => string, group?: (row: R) => string, folded?: string[],
 *            onfold?: (folded: string[]) => void, empty?: () => Node, name?: (row: R) => string}} Options
 */

const FIRST = 30; // lines that are drawn at once: more than a window shows
const MORE = 150; // that follow at a time, when nothing else is to be done

class Group {
  /** @param {string} name @param {number} members */
  constructor(name, members) {
    this.name = name;
    this.members = members;
  }
}

/** @template R */
export class Table {
  /** @param {Options<R>} options */
  constructor(options) {
    this.options = options;
    this.columns = options.columns;
    this.shown = options.shown ?? options.columns.map((column) => column.id);
    this.sort = options.sort ?? "";
    this.words = /** @type {string[]} */ ([]);
    /** @type {(row: R) => boolean} */
    this.keep = () => true;
    this.group = options.group;
    this.folded = new Set(options.folded ?? []);
    /** @type {Map<string, R>} */
    this.rows = new Map();
    /** @type {Map<string, HTMLTableRowElement>} */
    this.lines = new Map();
    /** @type {Map<string, R>} rows as their lines show them */
    this.drawn = new Map();
    this.limit = FIRST;
    this.marked = "";
    /** @type {Set<string>} */
    this.picked = new Set();
    this.lastPicked = "";
    this.head = h("tr");
    this.body = h("tbody");
    this.table = h(
      "table",
      { class: "table narrow-cards" },
      h("caption", { class: "sr" }, options.label),
      h("thead", null, this.head),
      this.body,
    );
    this.node = h("div", { class: "table-wrap" }, this.table);
    this.none = h("div");
    this.node.append(this.none);
    this.draw = frame(() => this.drawNow());
    this.more = idle(() => this.drawMore());
    this.body.addEventListener("keydown", (event) => this.walk(event));
    this.drawHead();
  }

  /** @param {Iterable<R>} rows */
  set(rows) {
    this.rows = new Map([...rows].map((row) => [this.options.key(row), row]));
    for (const key of this.lines.keys()) if (!this.rows.has(key)) this.lines.delete(key);
    this.forget();
    this.drawNow();
  }

  /** Add a row, or replace the one with its key. @param {R} row */
  put(row) {
    this.rows.set(this.options.key(row), row);
    this.draw();
  }

  /** @param {string} key */
  drop(key) {
    this.rows.delete(key);
    this.lines.delete(key);
    this.forget();
    this.draw();
  }

  /** Columns may change, too (figures that a new run brings). @param {string[]} ids @param {Column<R>[]} [columns] */
  show(ids, columns) {
    if (columns) this.columns = columns;
    this.shown = ids;
    this.lines.clear();
    this.drawHead();
    this.drawNow();
  }

  /**
   * Keep the rows with all words of a text, and those that `keep` takes.
   * @param {string} text
   * @param {(row: R) => boolean} [keep]
   * @param {boolean} [draw]
   */
  filter(text, keep, draw = true) {
    this.words = text.toLowerCase().split(/\s+/).filter(Boolean);
    if (keep) this.keep = keep;
    if (draw) this.drawNow();
  }

  /** @param {((row: R) => string)|undefined} group */
  groupBy(group) {
    this.group = group;
    this.drawNow();
  }

  /** Rows that the filter lets through, in order. @returns {R[]} */
  rowsShown() {
    const { search } = this.options;
    const found = [...this.rows.values()].filter((row) => {
      if (!this.keep(row)) return false;
      if (!this.words.length || !search) return true;
      const text = search(row).toLowerCase();
      return this.words.every((word) => text.includes(word));
    });
    const column = this.columns.find((one) => one.id === this.sort.replace(/^-/, ""));
    if (!column) return found;
    const sign = this.sort.startsWith("-") ? -1 : 1;
    const keyed = found.map((row) => /** @type {const} */ ([column.value(row), row]));
    keyed.sort(([a], [b]) => compare(a, b, sign));
    return keyed.map(([, row]) => row);
  }

  /** Forget chosen rows; of all, or of those that went. @param {boolean} [all] */
  forget(all = false) {
    const before = this.picked.size;
    for (const key of this.picked) if (all || !this.rows.has(key)) this.picked.delete(key);
    if (this.picked.size !== before) this.options.pick?.(this.picked);
    if (all) {
      this.lines.clear();
      this.drawNow();
    }
  }

  csv() {
    const columns = this.visible();
    const lines = [
      columns.map((column) => column.label),
      ...this.rowsShown().map((row) => columns.map((column) => column.value(row))),
    ];
    return csv(lines);
  }

  // ------------------------------------------------------------------ drawing

  visible() {
    return this.columns.filter(
      (column) => column.fixed || column.first || this.shown.includes(column.id),
    );
  }

  drawHead() {
    const { pick } = this.options;
    const cells = this.visible().map((column) => {
      const own = this.sort.replace(/^-/, "") === column.id;
      const state = own ? (this.sort.startsWith("-") ? "descending" : "ascending") : "none";
      if (column.sorts === false)
        return h(
          "th",
          { scope: "col", class: column.num ? "num" : "", title: column.title },
          column.label || h("span", { class: "sr" }, column.title ?? ""),
        );
      const sort = () => this.sortBy(column.id);
      return h(
        "th",
        { scope: "col", class: column.num ? "num" : "", "aria-sort": state, title: column.title },
        h(
          "button",
          { class: "sort", type: "button", data: { column: column.id }, onclick: sort },
          column.label,
        ),
      );
    });
    this.all =
      pick &&
      h("input", { type: "checkbox", "aria-label": "Choose all", onchange: () => this.pickAll() });
    fill(this.head, this.all && h("th", { class: "pick" }, h("label", null, this.all)), cells);
  }

  /** @param {string} id */
  sortBy(id) {
    const column = this.columns.find((one) => one.id === id);
    const down = this.sort === id || (this.sort !== `-${id}` && column?.num);
    this.sort = `${down ? "-" : ""}${id}`;
    this.options.onsort?.(this.sort);
    this.drawHead();
    this.drawNow();
    /** @type {HTMLElement|null} */ (
      this.head.querySelector(`[data-column="${CSS.escape(id)}"]`)
    )?.focus();
  }

  drawNow() {
    const rows = this.rowsShown();
    const entries = this.group ? this.grouped(rows) : rows;
    // a long table shows its beginning at once, and the rest a moment later
    const lines = entries
      .slice(0, this.limit)
      .map((entry) => (entry instanceof Group ? this.groupLine(entry) : this.line(entry)));
    if (entries.length > this.limit) this.more();
    this.place(lines);
    fill(this.none, !rows.length && this.options.empty?.());
    this.table.hidden = !rows.length && !!this.options.empty;
    this.drawPicked(rows);
  }

  drawMore() {
    this.limit += MORE;
    this.drawNow();
  }

  /** Rows under the heads of their groups; those without one are last. @param {R[]} rows @returns {(R|Group)[]} */
  grouped(rows) {
    /** @type {Map<string, R[]>} */
    const groups = new Map();
    for (const row of rows) {
      const name = this.group?.(row) ?? "";
      const known = groups.get(name);
      if (known) known.push(row);
      else groups.set(name, [row]);
    }
    const named = [...groups].sort(
      ([a], [b]) => Number(a === "") - Number(b === "") || a.localeCompare(b),
    );
    return named.flatMap(([name, members]) => [
      new Group(name, members.length),
      ...(this.folded.has(name) ? [] : members),
    ]);
  }

  /** Bring the lines into the table, moving none that is where it should be. @param {HTMLTableRowElement[]} lines */
  place(lines) {
    const old = [...this.body.children];
    const same = lines.findIndex((line, i) => line !== old[i]);
    if (same < 0 && old.length === lines.length) return;
    if (same === old.length) {
      this.body.append(...lines.slice(same));
      return;
    }
    const focused = document.activeElement;
    this.body.replaceChildren(...lines);
    if (focused instanceof HTMLElement && this.body.contains(focused)) {
      focused.focus({ preventScroll: true });
    }
  }

  /** The line of a row, patched to what the row now is. @param {R} row */
  line(row) {
    const key = this.options.key(row);
    const known = this.lines.get(key);
    if (known && this.drawn.get(key) === row) return known;
    this.drawn.set(key, row);
    const cells = this.visible().map((column) => this.cell(column, row));
    if (known) {
      const old = [...known.children].slice(this.options.pick ? 1 : 0);
      cells.forEach((cell, i) => {
        if (!old[i].isEqualNode(cell)) old[i].replaceWith(cell);
      });
      return known;
    }
    const made = h("tr", { data: { key } });
    if (this.options.pick) {
      const name = this.options.name?.(row) ?? key;
      const box = h("input", {
        type: "checkbox",
        checked: this.picked.has(key),
        "aria-label": `Choose ${name}`,
        onclick: (/** @type {MouseEvent} */ event) => this.toggle(key, event.shiftKey),
      });
      if (this.picked.has(key)) made.setAttribute("aria-selected", "true");
      made.append(h("td", { class: "pick" }, h("label", null, box)));
    }
    made.append(...cells);
    this.lines.set(key, made);
    return made;
  }

  /** @param {Column<R>} column @param {R} row */
  cell(column, row) {
    const content = column.view ? column.view(row) : (column.value(row) ?? "");
    const bare = content === "" || content === null || content === undefined || content === "–";
    const names = [column.num && "num", column.first && "first", bare && "bare"]
      .filter(Boolean)
      .join(" ");
    return h(
      column.first ? "th" : "td",
      {
        class: names || null,
        scope: column.first ? "row" : null,
        "data-label": column.first ? null : column.label || null,
      },
      content,
    );
  }

  /** @param {Group} group */
  groupLine({ name, members }) {
    const key = `group:${name}`;
    const open = !this.folded.has(name);
    const known = this.lines.get(key);
    const width = this.visible().length + (this.options.pick ? 1 : 0);
    const fold = () => {
      if (this.folded.has(name)) this.folded.delete(name);
      else this.folded.add(name);
      this.options.onfold?.([...this.folded]);
      this.drawNow();
    };
    const made =
      known ??
      h(
        "tr",
        { class: "group-row" },
        h(
          "td",
          { colspan: width },
          h(
            "button",
            { type: "button", onclick: fold },
            icon("right"),
            h("span"),
            h("span", { class: "faint" }),
          ),
        ),
      );
    const button = /** @type {HTMLButtonElement} */ (made.querySelector("button"));
    button.setAttribute("aria-expanded", String(open));
    button.children[1].textContent = name || "Without a group";
    button.children[2].textContent = String(members);
    this.lines.set(key, made);
    return made;
  }

  // ------------------------------------------------------------------ choosing rows

  /** @param {string} key @param {boolean} range */
  toggle(key, range) {
    const on = !this.picked.has(key);
    const keys = this.rowsShown().map(this.options.key);
    const from = keys.indexOf(this.lastPicked);
    const to = keys.indexOf(key);
    const span =
      range && from >= 0 ? keys.slice(Math.min(from, to), Math.max(from, to) + 1) : [key];
    for (const one of span) {
      if (on) this.picked.add(one);
      else this.picked.delete(one);
    }
    this.lastPicked = key;
    this.drawPicked(this.rowsShown());
    this.options.pick?.(this.picked);
  }

  pickAll() {
    const keys = this.rowsShown().map(this.options.key);
    const on = !keys.every((key) => this.picked.has(key));
    for (const key of keys) {
      if (on) this.picked.add(key);
      else this.picked.delete(key);
    }
    this.drawPicked(this.rowsShown());
    this.options.pick?.(this.picked);
  }

  /** @param {R[]} rows */
  drawPicked(rows) {
    if (!this.options.pick) return;
    const chosen = rows.filter((row) => this.picked.has(this.options.key(row))).length;
    if (this.all) {
      this.all.checked = chosen > 0 && chosen === rows.length;
      this.all.indeterminate = chosen > 0 && chosen < rows.length;
    }
    if (this.marked === [...this.picked].join("\n")) return;
    this.marked = [...this.picked].join("\n");
    for (const [key, line] of this.lines) {
      const box = line.querySelector("input[type=checkbox]");
      if (!box) continue;
      const on = this.picked.has(key);
      /** @type {HTMLInputElement} */ (box).checked = on;
      if (on) line.setAttribute("aria-selected", "true");
      else line.removeAttribute("aria-selected");
    }
  }

  /** Up and down go to the same place of the next line. @param {KeyboardEvent} event */
  walk(event) {
    if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
    const from = /** @type {HTMLElement} */ (event.target).closest("th, td");
    const line = from?.parentElement;
    if (!from || !line) return;
    const at = [...line.children].indexOf(from);
    let next = event.key === "ArrowDown" ? line.nextElementSibling : line.previousElementSibling;
    while (next) {
      const target =
        next.children[Math.min(at, next.children.length - 1)].querySelector("a, button, input");
      if (target) {
        event.preventDefault();
        /** @type {HTMLElement} */ (target).focus();
        return;
      }
      next = event.key === "ArrowDown" ? next.nextElementSibling : next.previousElementSibling;
    }
  }
}

/** @param {Value} a @param {Value} b @param {number} sign */
function compare(a, b, sign) {
  const none = (/** @type {Value} */ v) =>
    v === null || v === undefined || v === "" || Number.isNaN(v);
  if (none(a) || none(b)) return Number(none(a)) - Number(none(b));
  if (typeof a === "number" && typeof b === "number") return sign * (a - b);
  return sign * String(a).localeCompare(String(b), "en", { numeric: true });
}
