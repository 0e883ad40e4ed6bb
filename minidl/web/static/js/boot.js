// What cannot wait for modules. Loaded first and as a plain script, which blocks: the chosen colours
// are set before anything is painted (lib/theme.js), and what the page will ask first is asked now,
// while its modules load (data-ask; lib/api.js takes the answers from minidlAsked).
{
  try {
    const theme = localStorage.getItem("minidl.theme");
    if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  } catch {
    // no storage: the system's colours
  }
  /** @type {Map<string, Promise<Response>>} */
  const asked = new Map();
  const script = /** @type {HTMLScriptElement} */ (document.currentScript);
  const id = location.pathname.replace(/^\/job\//, "");
  for (const route of (script.dataset.ask ?? "").split(" ").filter(Boolean)) {
    const url = `/api/v1/${route.replace("ID", id)}`;
    const answer = fetch(url, { headers: { accept: "application/json" } });
    answer.catch(() => {}); // who asks again learns of it
    asked.set(url, answer);
  }
  /** @type {any} */ (window).minidlAsked = asked;
}
