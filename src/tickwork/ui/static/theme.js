// Light or dark: as the system has it until somebody chooses.

const KEY = "tickwork-theme";
const system = matchMedia("(prefers-color-scheme: dark)");

function chosen() {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null;
  }
}

export function isDark() {
  return document.documentElement.dataset.theme === "dark";
}

function apply() {
  const theme = chosen() ?? (system.matches ? "dark" : "light");
  document.documentElement.dataset.theme = theme;
  dispatchEvent(new Event("theme"));
}

export function toggleTheme() {
  try {
    localStorage.setItem(KEY, isDark() ? "light" : "dark");
  } catch {
    // Without storage the choice lasts as long as the page.
    document.documentElement.dataset.theme = isDark() ? "light" : "dark";
    dispatchEvent(new Event("theme"));
    return;
  }
  apply();
}

system.addEventListener("change", apply);
apply();
