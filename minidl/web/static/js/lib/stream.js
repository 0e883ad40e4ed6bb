// What the server pushes (server-sent events). One stream per page: browsers allow six connections
// to a host, so a page that nobody looks at closes its own and opens it again where it was.
//
//   const stop = listen("events/runs/lenet", {event: (line) => ..., status: (s) => ...},
//                       {offset: 1200, log: 1});
//
// The id of a message is a position in events.jsonl; after a break the stream goes on from there.
// "minidl:live" events on window say how it stands: "on", "off" (trying again).

import { apiUrl } from "./api.js";

const HIDDEN_MS = 10_000; // a page in the background keeps its stream this long
const AGAIN_MS = [500, 1000, 2000, 4000, 8000];

/**
 * @param {string} route
 * @param {Record<string, (data: any) => void>} handlers by the name of the message; "open" and
 *   "again" (after a break) are called without data
 * @param {Record<string, any>} [params]
 * @returns {() => void} closes it
 */
export function listen(route, handlers, params = {}) {
  /** @type {EventSource|null} */
  let source = null;
  let last = "";
  let failures = 0;
  let timer = 0;
  let closed = false;
  let opened = false;

  /** @param {"on"|"off"} state */
  const tell = (state) => window.dispatchEvent(new CustomEvent("minidl:live", { detail: state }));

  function open() {
    clearTimeout(timer);
    if (closed || source) return;
    source = new EventSource(apiUrl(route, last ? { ...params, offset: last } : params));
    source.onopen = () => {
      failures = 0;
      tell("on");
      handlers[opened ? "again" : "open"]?.(null);
      opened = true;
    };
    source.onerror = () => {
      tell("off");
      source?.close();
      source = null;
      timer = window.setTimeout(open, AGAIN_MS[Math.min(failures, AGAIN_MS.length - 1)]);
      failures += 1;
    };
    for (const [name, act] of Object.entries(handlers)) {
      source.addEventListener(name, (message) => {
        const { data, lastEventId } = /** @type {MessageEvent} */ (message);
        if (data === undefined) return; // the source's own "open"
        if (lastEventId) last = lastEventId;
        act(JSON.parse(data));
      });
    }
  }

  function shut() {
    clearTimeout(timer);
    source?.close();
    source = null;
  }

  function look() {
    clearTimeout(timer);
    if (document.hidden) timer = window.setTimeout(shut, HIDDEN_MS);
    else open();
  }

  document.addEventListener("visibilitychange", look);
  window.addEventListener("pagehide", shut);
  window.addEventListener("pageshow", look);
  open();
  return () => {
    closed = true;
    shut();
    document.removeEventListener("visibilitychange", look);
    window.removeEventListener("pagehide", shut);
    window.removeEventListener("pageshow", look);
  };
}
