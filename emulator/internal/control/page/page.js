// Takes the token from the address, keeps it for this tab, and fetches the page with it: first as a whole, then every two
// seconds to replace the parts that changed, unless updates are paused or the tab is hidden.
"use strict";
const tokenKey = "evenkeel-control-token";
let paused = false;
let open = false;

// takeToken removes the token from the address, so that it is neither visible nor bookmarked.
function takeToken() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given === null) return;
  sessionStorage.setItem(tokenKey, given);
  history.replaceState(null, "", location.pathname + location.search);
}

function showState(text) {
  document.getElementById("state").textContent = text;
}

// fetchPage returns the current page, or null after it displayed why there is none.
async function fetchPage() {
  const token = sessionStorage.getItem(tokenKey);
  if (token === null) return null;
  try {
    const answer = await fetch(location.pathname + location.search, { cache: "no-store", headers: { Authorization: "Bearer " + token } });
    if (answer.status === 401) {
      sessionStorage.removeItem(tokenKey);
      showState("The token is wrong. Open the address that keel emulator page prints.");
      return null;
    }
    if (!answer.ok) throw new Error(answer.statusText);
    return new DOMParser().parseFromString(await answer.text(), "text/html");
  } catch {
    showState("The emulator does not respond.");
    return null;
  }
}

function show(fresh) {
  document.body.replaceWith(document.adoptNode(fresh.body));
  const pause = document.getElementById("pause");
  pause.hidden = false;
  pause.addEventListener("click", () => {
    paused = !paused;
    pause.setAttribute("aria-pressed", String(paused));
    pause.textContent = paused ? "Resume updates" : "Pause updates";
  });
  if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();
  open = true;
}

async function update() {
  if (!paused && !document.hidden) {
    const fresh = await fetchPage();
    if (fresh && !open) show(fresh);
    if (fresh) {
      for (const part of document.querySelectorAll("[data-live]")) {
        const now = fresh.getElementById(part.id);
        // A part that has the keyboard focus is not replaced.
        if (now && now.innerHTML !== part.innerHTML && !part.contains(document.activeElement)) part.innerHTML = now.innerHTML;
      }
      document.documentElement.dataset.updated = String(Number(document.documentElement.dataset.updated || 0) + 1);
    }
  }
  setTimeout(update, 2000);
}
addEventListener("hashchange", takeToken);
takeToken();
update();
