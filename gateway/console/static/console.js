// What the console does in the browser, beside NiceGUI.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  // Quasar comes later than the page's colours, and starts with the system's.
  const waiting = setInterval(() => {
    if (!window.Quasar || !document.body.className.includes("body--")) return;
    clearInterval(waiting);
    showTheme();
  }, 10);
});

async function logOut() {
  await fetch("/api/v1/logout", { method: "POST" });
  location.assign("/console/login");
}

// navigator.clipboard is there in secure contexts alone, and a console on a LAN without TLS is none.
async function copyText(text) {
  if (navigator.clipboard) {
    await navigator.clipboard.writeText(text);
    return;
  }
  const field = document.createElement("textarea");
  field.value = text;
  field.style.position = "fixed";
  field.style.opacity = "0";
  document.body.append(field);
  field.select();
  document.execCommand("copy");
  field.remove();
}

async function copyFrom(event, text) {
  await copyText(text);
  const button = event.currentTarget || event.target.closest("button");
  button.classList.add("copied");
  setTimeout(() => button.classList.remove("copied"), 1200);
}

// A live chart is sent its newest points alone, and keeps the others here.
function pushPoint(id, time, values, most) {
  const chart = getElement(id)?.chart;
  if (!chart) return;
  const series = chart.getOption().series.map((one, index) => {
    const data = one.data.slice(-(most - 1));
    data.push([time, values[index] ?? null]);
    return { data };
  });
  chart.setOption({ series });
}

document.addEventListener("visibilitychange", () => emitEvent("visibility", document.visibilityState === "visible"));

let unsaved = false;

function setUnsaved(is) {
  unsaved = is;
}

window.addEventListener("beforeunload", (event) => {
  if (unsaved) event.preventDefault();
});
