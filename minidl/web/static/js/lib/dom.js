// Elements without markup: everything that a server or a user wrote becomes text, never HTML.
//
//   h("td", {class: "num", onclick: go, "aria-label": "..."}, "text", node, null, [more])
//   s("path", {d: "..."})            the same for SVG
//   fill(node, ...children)          replace what is in it, without touching what stays equal
//   keeping(list, draw)              draw rows anew, and leave the focus where it is
//   byId("head")                     the element, or an Error that names it
//   frame(draw)                      a function that runs `draw` once per frame at most
//   later(ms, act)                   a function that runs `act` when it was quiet for `ms`
//   seen(node, act)                  run `act` when the node first comes into view

/** @typedef {Node|string|number|null|undefined|false} Child */
/** @typedef {Record<string, any>} Props  on...: a listener; `style`: an object; `data`: an object;
 *    value, checked, disabled and the like: properties; null and false: left out */

const PROPERTIES = new Set(["checked", "disabled", "selected", "indeterminate", "hidden"]);

/**
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Props|null} [props]
 * @param {...(Child|Child[])} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function h(tag, props, ...children) {
  const made = document.createElement(tag);
  set(made, props ?? {});
  add(made, children);
  return made;
}

/**
 * @template {keyof SVGElementTagNameMap} T
 * @param {T} tag
 * @param {Props|null} [props]
 * @param {...(Child|Child[])} children
 * @returns {SVGElementTagNameMap[T]}
 */
export function s(tag, props, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  set(made, props ?? {});
  add(made, children);
  return /** @type {SVGElementTagNameMap[T]} */ (made);
}

/** @param {Element} node @param {Props} props */
function set(node, props) {
  for (const name in props) {
    const value = props[name];
    if (value === null || value === undefined || value === false || name === "value") continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "style") {
      for (const [key, text] of Object.entries(value)) {
        /** @type {HTMLElement} */ (node).style.setProperty(key, String(text));
      }
    } else if (name === "data") Object.assign(/** @type {HTMLElement} */ (node).dataset, value);
    else if (PROPERTIES.has(name)) /** @type {any} */ (node)[name] = value;
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  // last, for a range's value is clipped to its limits
  if (props.value !== undefined && props.value !== null)
    /** @type {any} */ (node).value = props.value;
}

/** @param {Element} node @param {(Child|Child[])[]} children */
function add(node, children) {
  for (const child of children.flat()) {
    if (child === null || child === undefined || child === false) continue;
    node.append(typeof child === "object" ? child : String(child));
  }
}

/**
 * Replace the children of a node.
 * @template {Element} T
 * @param {T} node
 * @param {...(Child|Child[])} children
 * @returns {T}
 */
export function fill(node, ...children) {
  node.replaceChildren();
  add(node, children);
  return node;
}

/** Set a node's text, if it is another. @param {Element} node @param {string} text */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/**
 * Draw the rows of a list anew, leaving the focus where it is: in the same row (by its data-id), at
 * the same link or button.
 * @param {HTMLElement} host
 * @param {() => void} draw
 */
export function keeping(host, draw) {
  const focused = document.activeElement;
  const row = /** @type {HTMLElement|null} */ (focused?.closest("[data-id]") ?? null);
  const parts = "a, button, input";
  const at = row && focused ? [...row.querySelectorAll(parts)].indexOf(focused) : -1;
  const inside = row !== null && host.contains(row);
  draw();
  if (!inside || at < 0) return;
  const again = host.querySelector(`[data-id="${CSS.escape(row.dataset.id ?? "")}"]`);
  /** @type {HTMLElement|undefined} */ (again?.querySelectorAll(parts)[at])?.focus();
}

/** @param {string} id @returns {HTMLElement} */
export function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no element #${id}`);
  return found;
}

/** @param {() => void} draw @returns {() => void} */
export function frame(draw) {
  let due = 0;
  return () => {
    if (!due) {
      due = requestAnimationFrame(() => {
        due = 0;
        draw();
      });
    }
  };
}

/**
 * Return a function that draws once the page has been painted and nothing else is to be done, or
 * after a second; however often it is called.
 * @param {() => void} draw
 * @returns {() => void}
 */
export function idle(draw) {
  const soon = window.requestIdleCallback ?? ((/** @type {() => void} */ act) => setTimeout(act, 50));
  let due = 0;
  return () => {
    if (due) return;
    due = 1;
    requestAnimationFrame(() =>
      soon(
        () => {
          due = 0;
          draw();
        },
        { timeout: 1000 },
      ),
    );
  };
}

/**
 * @template {any[]} A
 * @param {number} ms
 * @param {(...args: A) => void} act
 * @returns {(...args: A) => void}
 */
export function later(ms, act) {
  let due = 0;
  return (...args) => {
    clearTimeout(due);
    due = window.setTimeout(() => act(...args), ms);
  };
}

/** @param {Element} node @param {() => void} act */
export function seen(node, act) {
  const watch = new IntersectionObserver((found) => {
    if (found.some((one) => one.isIntersecting)) {
      watch.disconnect();
      act();
    }
  });
  watch.observe(node);
}
