// Drawings of 16 by 16, in the colour of the text: icon("copy"). They are decoration: what they
// mean is said beside them, or in the aria-label of their button.

import { s } from "./dom.js";

/** @type {Record<string, string>} */
const PATHS = {
  plus: "M8 3v10M3 8h10",
  x: "m4 4 8 8M12 4l-8 8",
  check: "m3 8.5 3.2 3.2L13 4.8",
  play: "M5 3.2v9.6l7.5-4.8Z",
  pause: "M5.5 3.5v9M10.5 3.5v9",
  stop: "M4 4h8v8H4Z",
  clock: "M8 2.2a5.8 5.8 0 1 0 0 11.6A5.8 5.8 0 0 0 8 2.2ZM8 5v3.2l2.2 1.4",
  turn: "M13.3 6.2A5.7 5.7 0 1 0 13.7 9",
  bolt: "M9 1.8 3.5 9H8l-1 5.2L12.5 7H8Z",
  ban: "M8 2.2a5.8 5.8 0 1 0 0 11.6A5.8 5.8 0 0 0 8 2.2ZM4 4l8 8",
  alert: "M8 2.2 14.2 13H1.8ZM8 6.4v3M8 11.2v.1",
  info: "M8 2.2a5.8 5.8 0 1 0 0 11.6A5.8 5.8 0 0 0 8 2.2ZM8 7.4v3.4M8 5v.1",
  search: "M7 2.5a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9ZM10.4 10.4l3.3 3.3",
  columns: "M2.5 3h11v10h-11ZM6.2 3v10M9.8 3v10",
  more: "M3.2 8h.1M8 8h.1M12.8 8h.1",
  copy: "M5.5 5.5h8v8h-8ZM10.5 5.5v-3h-8v8h3",
  download: "M8 2.5v7.2M4.8 6.8 8 9.9l3.2-3.1M2.8 13.2h10.4",
  trash: "M2.8 4.2h10.4M6 4V2.5h4V4M4.2 4.2l.6 9.3h6.4l.6-9.3M6.8 7v4M9.2 7v4",
  edit: "m3 10.2 7.4-7.4 2.8 2.8L5.8 13H3Z",
  folder: "M1.8 3.8h4.4l1.5 1.7h6.5v7.4H1.8Z",
  image: "M2 3h12v10H2ZM2.2 11.5l3.6-3.6 3 3 2-2 3 3M10.5 5.8v.1",
  chart: "M2.2 2.5v11h11.6M4.8 10.2l2.6-3.4 2.3 1.9 3.5-4.6",
  grip: "M6 3.5h.1M6 8h.1M6 12.5h.1M10 3.5h.1M10 8h.1M10 12.5h.1",
  right: "m6 3.5 4.5 4.5L6 12.5",
  left: "M10 3.5 5.5 8l4.5 4.5",
  down: "M3.5 6 8 10.5 12.5 6",
  up: "m3.5 10 4.5-4.5L12.5 10",
  layers: "M8 2.2 14 5.6 8 9 2 5.6ZM2.4 8.4 8 11.6l5.6-3.2M2.4 11 8 14.2 13.6 11",
  chip: "M4 4h8v8H4ZM6.5 1.8V4M9.5 1.8V4M6.5 12v2.2M9.5 12v2.2M1.8 6.5H4M1.8 9.5H4M12 6.5h2.2M12 9.5h2.2",
  reset: "M3 8a5 5 0 1 0 1.6-3.7M3 2.5v3h3",
  axis: "M3 2.2v11h11M5.2 4.4h.1M5.2 7.4h.1M8 10.8h.1M11 10.8h.1",
  sliders: "M2.5 4.5h6M11.5 4.5h2M2.5 11.5h2M7.5 11.5h6M10 2.9v3.2M6 9.9v3.2",
  group: "M2 4.5h12M4.5 8h9.5M4.5 11.5h9.5",
  tag: "M2.2 2.5h5.2l6.4 6.4-5 5-6.6-6.5ZM5 5.2v.1",
  file: "M3.5 1.8h5.8l3.2 3.3v9.1h-9ZM9 2v3.4h3.4",
  moon: "M13.2 9.6A5.6 5.6 0 0 1 6.4 2.8a5.6 5.6 0 1 0 6.8 6.8Z",
  sun: "M8 5.2a2.8 2.8 0 1 0 0 5.6 2.8 2.8 0 0 0 0-5.6ZM8 1.5v1.2M8 13.3v1.2M1.5 8h1.2M13.3 8h1.2M3.4 3.4l.9.9M11.7 11.7l.9.9M12.6 3.4l-.9.9M4.3 11.7l-.9.9",
  auto: "M2 3h12v8H2ZM5.5 13.5h5",
};

/** @param {string} name @returns {SVGSVGElement} */
export function icon(name) {
  return s(
    "svg",
    { class: "icon", viewBox: "0 0 16 16", "aria-hidden": "true" },
    s("path", { d: PATHS[name] ?? PATHS.info }),
  );
}
