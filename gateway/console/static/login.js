// Logs in by the REST API, which answers with the cookie.
"use strict";

const form = document.getElementById("log-in");
const problem = document.getElementById("problem");

function whereTo() {
  const wanted = new URLSearchParams(location.search).get("next") || "/console/";
  const url = new URL(wanted, location.origin);
  const isOurs = url.origin === location.origin && url.pathname.startsWith("/console/");
  return isOurs ? url.pathname + url.search : "/console/";
}

function sayBeside(field, message) {
  document.getElementById(field + "-error").textContent = message;
  form.elements[field].setAttribute("aria-invalid", message ? "true" : "false");
}

function say(detail, hint) {
  document.getElementById("problem-detail").textContent = detail;
  document.getElementById("problem-hint").textContent = hint;
  problem.hidden = !detail;
}

async function logIn() {
  const given = { user: form.elements.user.value.trim(), password: form.elements.password.value };
  sayBeside("user", given.user ? "" : "who are you?");
  sayBeside("password", given.password ? "" : "a password is needed");
  say("", "");
  if (!given.user || !given.password) return;
  const response = await fetch("/api/v1/login", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(given),
  });
  if (response.ok) {
    location.replace(whereTo());
    return;
  }
  const told = await response.json().catch(() => ({}));
  const wait = response.headers.get("Retry-After");
  say(told.detail || `${response.status} ${response.statusText}`, wait ? `Try again in ${wait} s.` : told.hint || "");
  for (const error of told.errors || []) if (form.elements[error.field]) sayBeside(error.field, error.message);
  form.elements.password.select();
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = form.querySelector("button");
  button.disabled = true;
  try {
    await logIn();
  } catch {
    say("The gateway does not answer.", "Does it run, and is the network up?");
  } finally {
    button.disabled = false;
  }
});
