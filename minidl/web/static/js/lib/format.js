// Figures and times in words, short enough for a column.
//
//   num(0.123456) 0.1235    whole(12345) 12,345    percent(0.981) 98.1 %    bytes(2e6) 2.0 MB
//   duration(3725) 1 h 02 min    ago(seconds since 1970) 5 min ago    moment(...) 1 Dec 2026, 09:03
//   figure("test accuracy", 0.981) 98.10 %    anything else 4 digits
//   plural(3, "run") 3 runs

const WHOLE = new Intl.NumberFormat("en");
const NONE = "–";

/** @param {number|null|undefined} value @param {number} [digits] @returns {string} */
export function num(value, digits = 4) {
  if (value === null || value === undefined || Number.isNaN(value)) return NONE;
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e6 || size < 1e-4) return minus(short(value.toExponential(digits - 2)));
  if (size >= 10 ** (digits - 1)) return minus(WHOLE.format(Math.round(value)));
  const places = Math.max(0, digits - 1 - Math.floor(Math.log10(size)));
  return minus(value.toFixed(Math.min(places, 6)));
}

/** @param {string} text */
const short = (text) => text.replace(/\.?0+e/, "e").replace("e+", "e");
/** @param {string} text */
const minus = (text) => text.replace(/^-/, "−");

/** @param {number|null|undefined} value */
export function whole(value) {
  return value === null || value === undefined ? NONE : WHOLE.format(Math.round(value));
}

/** @param {number|null|undefined} share of one @param {number} [places] */
export function percent(share, places = 1) {
  if (share === null || share === undefined || Number.isNaN(share)) return NONE;
  return `${(share * 100).toFixed(places)} %`;
}

/** @param {number|null|undefined} count */
export function bytes(count) {
  if (count === null || count === undefined) return NONE;
  const units = ["B", "kB", "MB", "GB", "TB"];
  let at = 0;
  let left = count;
  while (left >= 999.5 && at < units.length - 1) {
    left /= 1000;
    at += 1;
  }
  return `${at && left < 99.5 ? left.toFixed(1) : Math.round(left)} ${units[at]}`;
}

/** @param {number|null|undefined} seconds */
export function duration(seconds) {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return NONE;
  const all = Math.max(0, seconds);
  if (all < 9.95) return `${all.toFixed(1)} s`;
  if (all < 99.5) return `${Math.round(all)} s`;
  const minutes = Math.round(all / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ${String(minutes % 60).padStart(2, "0")} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** @param {number|null|undefined} time in seconds since 1970 */
export function ago(time) {
  if (!time) return NONE;
  const passed = Date.now() / 1000 - time;
  if (passed < 45) return "just now";
  if (passed < 100) return "1 min ago";
  if (passed < 86400 * 2) return `${duration(passed).replace(/ \d\d min$/, "")} ago`;
  return date(time);
}

// made once: making one takes longer than all that is formatted with it
const DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const DATE = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric" });
const CLOCK = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });

/** @param {number} time */
function date(time) {
  const day = new Date(time * 1000);
  return (day.getFullYear() === new Date().getFullYear() ? DAY : DATE).format(day);
}

/** @param {number|null|undefined} time in seconds since 1970 */
export function moment(time) {
  if (!time) return NONE;
  const day = new Date(time * 1000);
  return `${DATE.format(day)}, ${CLOCK.format(day)}`;
}

/** Whether larger is better. @param {string} name of a figure */
export const isAccuracy = (name) => /accuracy|top-?\d|\bmap\b|iou|recall|precision/i.test(name);

/** @param {string} name of a figure @param {number|null|undefined} value */
export function figure(name, value) {
  if (value === null || value === undefined || Number.isNaN(value)) return NONE;
  if (isAccuracy(name) && value >= 0 && value <= 1) return percent(value, 2);
  if (name === "images/s") return value >= 100 ? whole(value) : num(value, 3);
  return num(value);
}

/** @param {number} count @param {string} noun @param {string} [many] */
export function plural(count, noun, many) {
  return `${whole(count)} ${count === 1 ? noun : (many ?? `${noun}s`)}`;
}

/** The words of a time left. @param {number|null|undefined} seconds */
export function left(seconds) {
  return seconds === null || seconds === undefined ? "" : `${duration(seconds)} left`;
}
