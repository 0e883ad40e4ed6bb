// Tabs by the pattern of the ARIA guide: arrow keys move, the chosen one stands in the address.
//
//   const tabs = new Tabs(host, [{id: "log", label: "Log", count?: 3, show(panel) {...}}], {
//     label: "Parts of the run", chosen: view.get("tab"), onchange: (id) => view.set("tab", id)});
//   tabs.choose("log")    tabs.count("log", 12)
//
// `show` is called when a tab is first chosen, with its panel; it may return a function that is
// called each time the tab is left, and one of the name `back` when it is chosen again.

import { fill, h } from "./dom.js";

/** @typedef {{leave?: () => void, back?: () => void}} Life */
/** @typedef {{id: string, label: string, count?: number|null, panel?: HTMLElement,
 *             show?: (panel: HTMLElement) => Life|void|Promise<Life|void>}} Tab */

export class Tabs {
  /**
   * @param {HTMLElement} host
   * @param {Tab[]} tabs
   * @param {{label: string, chosen?: string, onchange?: (id: string) => void}} options
   */
  constructor(host, tabs, options) {
    this.options = options;
    this.tabs = tabs;
    this.chosen = "";
    /** @type {Map<string, Life>} */
    this.lives = new Map();
    /** @type {Map<string, HTMLButtonElement>} */
    this.buttons = new Map();
    /** @type {Map<string, HTMLElement>} */
    this.panels = new Map();
    const list = h("div", { class: "tabs", role: "tablist", "aria-label": options.label });
    list.addEventListener("keydown", (event) => this.walk(event));
    for (const tab of tabs) {
      const button = h(
        "button",
        {
          role: "tab",
          type: "button",
          id: `tab-${tab.id}`,
          "aria-controls": `panel-${tab.id}`,
          onclick: () => this.choose(tab.id),
        },
        tab.label,
        tab.count !== undefined && h("span", { class: "count" }, String(tab.count ?? "")),
      );
      const panel = h("div", {
        role: "tabpanel",
        id: `panel-${tab.id}`,
        "aria-labelledby": `tab-${tab.id}`,
        tabindex: "0",
        hidden: true,
      });
      this.buttons.set(tab.id, button);
      this.panels.set(tab.id, panel);
      list.append(button);
    }
    fill(host, list, [...this.panels.values()]);
    const first = tabs.some((tab) => tab.id === options.chosen) ? options.chosen : tabs[0].id;
    this.choose(/** @type {string} */ (first), false);
  }

  /** @param {string} id @param {boolean} [tell] */
  choose(id, tell = true) {
    if (id === this.chosen || !this.panels.has(id)) return;
    this.lives.get(this.chosen)?.leave?.();
    this.chosen = id;
    for (const [key, button] of this.buttons) {
      button.setAttribute("aria-selected", String(key === id));
      button.tabIndex = key === id ? 0 : -1;
    }
    for (const [key, panel] of this.panels) panel.hidden = key !== id;
    const list = this.buttons.get(id)?.parentElement;
    const button = this.buttons.get(id);
    if (list && button)
      list.scrollLeft = Math.max(
        0,
        button.offsetLeft - list.offsetLeft - (list.clientWidth - button.clientWidth) / 2,
      );
    const panel = /** @type {HTMLElement} */ (this.panels.get(id));
    const life = this.lives.get(id);
    if (life) life.back?.();
    else {
      this.lives.set(id, {});
      const made = this.tabs.find((tab) => tab.id === id)?.show?.(panel);
      Promise.resolve(made).then((found) => found && this.lives.set(id, found));
    }
    if (tell) this.options.onchange?.(id);
  }

  /** @param {string} id @param {number|string} count */
  count(id, count) {
    const place = this.buttons.get(id)?.querySelector(".count");
    if (place && place.textContent !== String(count)) place.textContent = String(count);
  }

  /** @param {KeyboardEvent} event */
  walk(event) {
    const ids = [...this.buttons.keys()];
    const at = ids.indexOf(this.chosen);
    /** @type {Record<string, number>} */
    const steps = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: ids.length - 1 };
    if (!(event.key in steps)) return;
    event.preventDefault();
    const id = ids[(steps[event.key] + ids.length) % ids.length];
    this.choose(id);
    this.buttons.get(id)?.focus();
  }
}
