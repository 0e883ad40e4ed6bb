// Choices that last: in the address, so that a link shows the same page, and in this browser.
//
//   const view = choices("home", {sort: "-created", tab: "runs", columns: [...]}, ["sort", "tab"]);
//   view.get("sort")    view.set("sort", "name")    view.on(() => draw())    (back and forward)
//
// What the address says comes first, then what this browser kept, then the default. Those named as
// `passing` stand in the address alone: a filter of last week would hide what one looks for.

/**
 * @template {Record<string, any>} T
 * @param {string} page
 * @param {T} defaults  strings, numbers, booleans or lists of strings
 * @param {(keyof T & string)[]} [linked] those that stand in the address
 * @param {(keyof T & string)[]} [passing] of these, those that this browser does not keep
 */
export function choices(page, defaults, linked = [], passing = []) {
  const key = `minidl.${page}`;
  /** @type {Partial<T>} */
  let kept = {};
  try {
    kept = JSON.parse(localStorage.getItem(key) ?? "{}");
  } catch {
    // no storage, or not ours: the defaults
  }
  /** @type {T} */
  const now = { ...defaults };

  function read() {
    const params = new URLSearchParams(location.search);
    for (const name of Object.keys(defaults)) {
      const text = linked.includes(name) ? params.get(name) : null;
      const stored = passing.includes(name) ? undefined : kept[name];
      const same = typeof stored === typeof defaults[name];
      /** @type {any} */ (now)[name] =
        text !== null ? parsed(text, defaults[name]) : same ? stored : defaults[name];
    }
  }
  read();

  return {
    /** @template {keyof T & string} K @param {K} name @returns {T[K]} */
    get: (name) => now[name],

    /**
     * @template {keyof T & string} K
     * @param {K} name
     * @param {T[K]} value
     * @param {boolean} [step] whether the browser's "back" undoes it
     */
    set(name, value, step = false) {
      now[name] = value;
      kept[name] = value;
      try {
        localStorage.setItem(key, JSON.stringify(kept));
      } catch {
        // no storage: it lasts as long as the page
      }
      if (linked.includes(name)) {
        const url = new URL(location.href);
        const plain = JSON.stringify(value) === JSON.stringify(defaults[name]);
        if (plain) url.searchParams.delete(name);
        else url.searchParams.set(name, Array.isArray(value) ? value.join(",") : String(value));
        // ids of jobs and lists stay readable
        const text = url.href.replaceAll("%2C", ",").replaceAll("%2F", "/");
        history[step ? "pushState" : "replaceState"](null, "", text);
      }
    },

    /** @param {() => void} act */
    on(act) {
      window.addEventListener("popstate", () => {
        read();
        act();
      });
    },
  };
}

/** @param {string} text @param {any} like */
function parsed(text, like) {
  if (Array.isArray(like)) return text ? text.split(",") : [];
  if (typeof like === "number") return Number.isFinite(Number(text)) ? Number(text) : like;
  if (typeof like === "boolean") return text === "true" || text === "1";
  return text;
}
