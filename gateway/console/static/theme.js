// Light, dark or as the system has it: remembered in a cookie, so that the server can build a page in its colours. So is
// the time zone, for the times that it writes.
"use strict";

const THEME_COOKIE = "gateway-theme";
const systemIsDark = window.matchMedia("(prefers-color-scheme: dark)");

function chosenTheme() {
  const found = document.cookie.split("; ").find((cookie) => cookie.startsWith(THEME_COOKIE + "="));
  const value = found ? found.slice(THEME_COOKIE.length + 1) : "";
  return ["light", "dark"].includes(value) ? value : "auto";
}

function showTheme() {
  const chosen = chosenTheme();
  const dark = chosen === "dark" || (chosen === "auto" && systemIsDark.matches);
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  document.documentElement.dataset.chosenTheme = chosen;
  if (window.Quasar && document.body) Quasar.Dark.set(dark);
}

function chooseTheme(theme) {
  document.cookie = `${THEME_COOKIE}=${theme}; path=/console; max-age=31536000; SameSite=Strict`;
  showTheme();
}

document.cookie = `gateway-zone=${Intl.DateTimeFormat().resolvedOptions().timeZone}; path=/console; SameSite=Strict`;
systemIsDark.addEventListener("change", showTheme);
showTheme();
