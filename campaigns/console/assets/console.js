// What every page of the console does: times in the viewer's own zone, questions
// before what cannot be undone, copying what is shown once, and noticing that the
// database is back.

const times = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

export function localTimes(root = document) {
  for (const t of root.querySelectorAll("time[datetime]")) {
    const at = new Date(t.dateTime);
    if (!Number.isNaN(at.getTime())) {
      t.title = t.dateTime;
      t.textContent = times.format(at);
    }
  }
}

localTimes();

document.addEventListener("submit", (event) => {
  const question = event.target.dataset.confirm;
  if (question && !window.confirm(question)) {
    event.preventDefault();
    return;
  }
  // A second tap sends nothing twice.
  if (event.target.method === "post") {
    if (event.target.dataset.sent) event.preventDefault();
    event.target.dataset.sent = "yes";
  }
});
window.addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
});

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-copy]");
  if (!button) return;
  try {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent.trim());
    button.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(document.getElementById(button.dataset.copy));
  }
});

// Long menus scroll: the page's own line is in sight.
document.querySelector(".menu [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });

// While the database is away: look every few seconds, and load the page anew when it
// is back, unless somebody is typing.
if (document.querySelector("[data-away]")) {
  const typing = () => [...document.querySelectorAll("main input, main textarea")].some((f) => f.type !== "hidden" && f.value !== f.defaultValue);
  const look = setInterval(async () => {
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
      if (!answer.ok || (await answer.text()).includes("data-away>")) return;
      clearInterval(look);
      if (typing()) document.querySelector("[data-away]").textContent = "The database answers again.";
      else location.reload();
    } catch {
      // The console itself is away: go on looking.
    }
  }, 5000);
}
