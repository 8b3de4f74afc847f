// Dark and light.

/** Dark, light, or as the system has it; remembered where the browser remembers for files. */
function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  byId("theme").textContent = { auto: "Theme: system", dark: "Theme: dark", light: "Theme: light" }[theme];
  try {
    localStorage.setItem("bestshot-theme", theme);
  } catch {
    // A browser that keeps nothing for this page.
  }
}

function listenToTheme(redraw) {
  let stored = null;
  try {
    stored = localStorage.getItem("bestshot-theme");
  } catch {
    // As above.
  }
  setTheme(["dark", "light"].includes(stored) ? stored : "auto");
  byId("theme").addEventListener("click", () => {
    const order = ["auto", "dark", "light"];
    setTheme(order[(order.indexOf(document.documentElement.dataset.theme) + 1) % 3]);
    redraw();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
}
