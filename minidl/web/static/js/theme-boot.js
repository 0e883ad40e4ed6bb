// Set the chosen colours before anything is painted. Loaded first, and not as a module, so that it
// blocks: see lib/theme.js.
try {
  const theme = localStorage.getItem("minidl.theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // no storage: the system's colours
}
