// Light or dark: the system's wish, or the one chosen here (kept in this browser).
//
//   colour("--accent")       what a variable of app.css is now, for canvases
//   onTheme(() => redraw())  when it changes
//   next()                   light, dark, the system's

const CHANGED = "minidl:theme";
/** @type {Map<string, string>} */
let known = new Map();
let probe = /** @type {HTMLElement|null} */ (null);

/** @param {string} name of a variable @param {number} [alpha] @returns {string} */
export function colour(name, alpha = 1) {
  const key = `${name}/${alpha}`;
  const before = known.get(key);
  if (before) return before;
  if (!probe) {
    probe = document.createElement("span");
    probe.hidden = true;
    document.body.append(probe);
  }
  // a variable holds light-dark(...); as a colour of an element it is resolved
  probe.style.color = `var(${name})`;
  const found = getComputedStyle(probe).color;
  const made =
    alpha === 1 ? found : found.replace(/rgba?\(([^,]+,[^,]+,[^,)]+).*/, `rgba($1, ${alpha})`);
  known.set(key, made);
  return made;
}

/** @param {() => void} act */
export function onTheme(act) {
  window.addEventListener(CHANGED, act);
}

/** @returns {"auto"|"light"|"dark"} */
export function chosen() {
  const found = document.documentElement.dataset.theme;
  return found === "light" || found === "dark" ? found : "auto";
}

/** Choose the next one; returns it. */
export function next() {
  const order = /** @type {const} */ (["auto", "light", "dark"]);
  const choice = order[(order.indexOf(chosen()) + 1) % 3];
  if (choice === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = choice;
  try {
    if (choice === "auto") localStorage.removeItem("minidl.theme");
    else localStorage.setItem("minidl.theme", choice);
  } catch {
    // no storage: until the page is left
  }
  changed();
  return choice;
}

function changed() {
  known = new Map();
  window.dispatchEvent(new Event(CHANGED));
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", changed);
