// Fetches the page again every two seconds and puts the parts that changed in place, unless it is paused or nobody looks.
"use strict";
const pause = document.getElementById("pause");
let paused = false;
pause.hidden = false;
pause.addEventListener("click", () => {
  paused = !paused;
  pause.setAttribute("aria-pressed", String(paused));
  pause.textContent = paused ? "Go on" : "Pause updates";
});
async function update() {
  if (!paused && !document.hidden) {
    try {
      const answer = await fetch(location.href, { cache: "no-store" });
      if (!answer.ok) throw new Error(answer.statusText);
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const part of document.querySelectorAll("[data-live]")) {
        const now = fresh.getElementById(part.id);
        // A part somebody is in, by keyboard, stays until they leave it.
        if (now && now.innerHTML !== part.innerHTML && !part.contains(document.activeElement)) part.innerHTML = now.innerHTML;
      }
      document.documentElement.dataset.updated = String(Number(document.documentElement.dataset.updated || 0) + 1);
    } catch {
      document.getElementById("state").textContent = "The emulator does not answer.";
    }
  }
  setTimeout(update, 2000);
}
setTimeout(update, 500);
