// A dialog in which a folder or a file is chosen, among those that the server may read.
//
//   const path = await choose({title: "Pictures", kind: "folder", at: "pictures"})   null: none

import { post } from "./api.js";
import { open } from "./dialog.js";
import { fill, h } from "./dom.js";
import { bytes } from "./format.js";
import { icon } from "./icons.js";
import { failed, loading } from "./states.js";

/** @typedef {{path: string, parent: string|null, folders: string[],
 *             files: {name: string, bytes: number}[], more: number, roots: string[]}} Listing */

/**
 * @param {{title: string, kind: "folder"|"file"|"any", endings?: string[], at?: string}} what
 * @returns {Promise<string|null>}
 */
export function choose(what) {
  return new Promise((done) => {
    let here = "";
    let root = "";
    let chosen = /** @type {string|null} */ (null);
    const where = h("ol", { class: "crumbs" });
    const list = h("ul", { class: "picker", "aria-label": "What is in the folder" });
    const take = h("button", { class: "btn primary", type: "button" }, "Use this folder");
    const box = open({
      title: what.title,
      wide: true,
      body: [where, list],
      footer: [
        h("button", { class: "btn", type: "button", onclick: () => box.close("") }, "Cancel"),
        what.kind !== "file" && take,
      ],
      onclose: () => done(chosen),
    });
    const finish = (/** @type {string} */ path) => {
      chosen =
        path === root ? "." : path.startsWith(`${root}/`) ? path.slice(root.length + 1) : path;
      box.close("");
    };
    take.addEventListener("click", () => finish(here));

    /** @param {string} path */
    async function go(path) {
      fill(list, h("li", null, loading(5)));
      take.disabled = true;
      try {
        draw(await post("ask/folder", { path }));
      } catch (error) {
        if (path) return go("");
        fill(
          list,
          h(
            "li",
            null,
            failed(error, () => go("")),
          ),
        );
      }
    }

    /** @param {Listing} found */
    function draw(found) {
      root = found.roots[0];
      here = found.path;
      if (!here && found.roots.length === 1) return void go(root);
      take.disabled = !here;
      const entry = (
        /** @type {string} */ drawing,
        /** @type {string} */ name,
        /** @type {() => void} */ act,
        more = "",
      ) =>
        h(
          "li",
          null,
          h(
            "button",
            { type: "button", onclick: act },
            icon(drawing),
            h("span", { class: "grow clip" }, name),
            h("span", { class: "faint small num" }, more),
          ),
        );
      const ends = what.endings;
      const files = found.files.filter(
        (file) => !ends || ends.some((end) => file.name.toLowerCase().endsWith(end)),
      );
      fill(where, crumbs(found, go));
      fill(
        list,
        found.parent !== null && entry("up", "Up", () => go(found.parent ?? "")),
        found.folders.map((name) =>
          entry("folder", here ? name : short(name, root), () =>
            go(here ? `${here}/${name}` : name),
          ),
        ),
        what.kind !== "folder" &&
          files.map((file) =>
            entry("file", file.name, () => finish(`${here}/${file.name}`), bytes(file.bytes)),
          ),
        what.kind === "folder" &&
          found.files.length > 0 &&
          h("li", { class: "faint small" }, `${found.files.length} files`),
        found.more > 0 && h("li", { class: "faint small" }, `and ${found.more} more`),
        !found.folders.length &&
          (what.kind === "folder" ? !found.files.length : !files.length) &&
          h("li", { class: "faint small" }, "Nothing here to choose."),
      );
      /** @type {HTMLElement|null} */ (list.querySelector("button"))?.focus();
    }

    go(what.at || ".");
  });
}

/** @param {string} path @param {string} root */
const short = (path, root) => (path === root ? `${path} (root)` : path);

/** @param {Listing} found @param {(path: string) => void} go */
function crumbs(found, go) {
  const link = (/** @type {string} */ text, /** @type {string} */ path) =>
    h("button", { class: "link", type: "button", onclick: () => go(path) }, text);
  const top = found.roots.find((root) => found.path === root || found.path.startsWith(`${root}/`));
  const parts = [];
  if (found.roots.length > 1) parts.push(h("li", null, link("All folders", "")));
  if (top) {
    parts.push(h("li", null, link(top.split("/").pop() || "/", top)));
    let path = top;
    for (const name of found.path.slice(top.length).split("/").filter(Boolean)) {
      path += `/${name}`;
      parts.push(h("li", null, link(name, path)));
    }
  }
  return parts;
}
