// What every script of a page begins with: the page's data, elements, and words.
//
// The one rule: text from data becomes a text node, never HTML.

export const page = JSON.parse(document.getElementById("page")?.textContent || "{}");

export const find = (selector, root = document) => root.querySelector(selector);
export const findAll = (selector, root = document) => [...root.querySelectorAll(selector)];

// el makes an element. Attributes: a function listens ("click"), true and false set and
// leave out. Children are nodes or texts; what is null or false is left out.
export function el(name, attributes, ...children) {
  const e = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (typeof value === "function") e.addEventListener(key, value);
    else if (value !== false && value != null) e.setAttribute(key, value === true ? "" : value);
  }
  e.append(...children.filter((c) => c != null && c !== false));
  return e;
}

// show hides and shows by the attribute, which needs no style.
export const show = (e, shown) => e && (e.hidden = !shown);

// say tells everybody who listens to the page what changed, once.
export function say(text) {
  let region = document.getElementById("said");
  if (!region) {
    region = el("p", { id: "said", class: "quiet", role: "status", "aria-live": "polite" });
    document.body.append(region);
  }
  if (region.textContent !== text) region.textContent = text;
}

// sleep waits, and ends early when the signal is given or the event comes.
export const sleep = (ms, signal, early) =>
  new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      if (early) removeEventListener(early, done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    if (signal?.aborted) done();
    signal?.addEventListener("abort", done);
    if (early) addEventListener(early, done);
  });

// about says how long something takes, as people say it.
export function about(seconds) {
  if (seconds < 50) return "less than a minute";
  const minutes = Math.round(seconds / 60);
  if (minutes < 50) return minutes === 1 ? "about a minute" : `about ${minutes} minutes`;
  const hours = Math.round(minutes / 60);
  return hours === 1 ? "about an hour" : `about ${hours} hours`;
}

export const moment = (text) =>
  new Date(text).toLocaleString(undefined, { dateStyle: "long", timeStyle: "short" });
