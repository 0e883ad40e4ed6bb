// What every page has: the switch of colours, the menu of new jobs, how the connection stands.

import { menu } from "./dialog.js";
import { byId, fill, say } from "./dom.js";
import { icon } from "./icons.js";
import { chosen, next } from "./theme.js";

const THEMES = { auto: ["auto", "as the system"], light: ["sun", "light"], dark: ["moon", "dark"] };

function drawTheme() {
  const [drawing, word] = THEMES[chosen()];
  const button = byId("theme");
  fill(button, icon(drawing));
  button.setAttribute("aria-label", `Colours: ${word}`);
  button.title = `Colours: ${word}`;
}

byId("theme").addEventListener("click", () => {
  next();
  drawTheme();
});
drawTheme();

byId("new-job").addEventListener("click", () =>
  menu(byId("new-job"), [
    { text: "New dataset", icon: "image", href: "/new/dataset" },
    { text: "New run", icon: "chart", href: "/new/run" },
  ]),
);

let waiting = 0;
window.addEventListener("minidl:live", (event) => {
  const on = /** @type {CustomEvent} */ (event).detail === "on";
  clearTimeout(waiting);
  const set = () => {
    byId("live").dataset.state = on ? "on" : "off";
    say(byId("live-text"), on ? "Live" : "Reconnecting");
  };
  // a page that is left closes its stream: that is not worth a word
  if (on) set();
  else waiting = window.setTimeout(set, 900);
});
