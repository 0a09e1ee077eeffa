// The gifts that this browser has begun. A gift is stored BEFORE it is first sent, with
// its idempotency key and what was wished: whoever reloads, goes back, clicks twice or
// has a second tab finds it here and sends the same key again.
//
// What names the donor is kept until the donation is accepted, and not longer. The holder
// token stays, for it is the way back to the gift; everything goes after a day.

const prefix = "spillway.gift.";
const dayMs = 24 * 3600 * 1000;

// Without storage (some private windows) a page has to remember by itself: then a double
// click is still one gift, a reload is not.
const memory = new Map();
const store = ["localStorage", "sessionStorage"].map(open).find(Boolean);

function open(name) {
  try {
    window[name].setItem(prefix + "?", "");
    window[name].removeItem(prefix + "?");
    return window[name];
  } catch {
    return null;
  }
}

// load and keep read and write one entry as JSON; keep(name, null) forgets it.
export function load(name) {
  try {
    return JSON.parse((memory.has(name) ? memory.get(name) : store?.getItem(name)) ?? "null");
  } catch {
    return null; // somebody else wrote it
  }
}

export function keep(name, value) {
  const text = value === null ? null : JSON.stringify(value);
  try {
    if (text === null) store.removeItem(name);
    else store.setItem(name, text);
    memory.delete(name);
  } catch {
    if (text === null) memory.delete(name);
    else memory.set(name, text); // full, or not there
  }
}

// changed calls handle when another tab has written.
export const changed = (handle) => addEventListener("storage", (e) => (!e.key || e.key.startsWith("spillway.")) && handle());

// gifts lists what was begun in a scope (a campaign's page, or the basket), newest first.
export function gifts(scope) {
  const names = new Set(memory.keys());
  for (let i = 0; store && i < store.length; i++) names.add(store.key(i));
  const all = [];
  for (const name of names) {
    if (!name?.startsWith(prefix)) continue;
    const gift = load(name);
    if (!gift || Date.now() - gift.at > dayMs) keep(name, null);
    else if (!scope || gift.scope === scope) all.push(gift);
  }
  return all.sort((a, b) => b.at - a.at);
}

// update changes what is stored of a gift, and the gift itself. Other tabs may have
// written meanwhile: their members stay.
export function update(gift, members) {
  Object.assign(gift, load(prefix + gift.key), members);
  keep(prefix + gift.key, gift);
  return gift;
}

export const refresh = (gift) => Object.assign(gift, load(prefix + gift.key));

export const forget = (gift) => keep(prefix + gift.key, null);

// freshKey is 192 random bits: nobody else's key is like it.
export function freshKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(24));
  return btoa(String.fromCharCode(...bytes)).replace(/\+/g, "-").replace(/\//g, "_");
}

// mark stands for a content when the content itself is not kept: two rounds of FNV-1a. It
// only has to tell apart the few gifts of one browser.
function mark(text) {
  let a = 0x811c9dc5;
  let b = 0x01000193;
  for (let i = 0; i < text.length; i++) {
    a = Math.imul(a ^ text.charCodeAt(i), 0x01000193);
    b = Math.imul(b ^ text.charCodeAt(text.length - 1 - i), 0x85ebca6b);
  }
  return (a >>> 0).toString(36) + (b >>> 0).toString(36);
}

// claim finds the gift that this wish already is, or begins it. One tab at a time, where
// the browser can say so.
export function claim(scope, body) {
  const take = () => {
    const content = mark(JSON.stringify(body));
    const same = gifts(scope).find((g) => g.mark === content && present(g));
    if (same) return same;
    const gift = {
      key: freshKey(), scope, at: Date.now(), mark: content, body,
      currency: body.currency, lines: body.lines, amount: body.lines.reduce((sum, l) => sum + l.amount_minor, body.fee_cover_minor),
    };
    return update(gift, {});
  };
  return navigator.locks ? navigator.locks.request("spillway.claim", take) : take();
}

// present tells whether a gift is still what this browser is at: the donor has not left
// it, and when it is over, that was a moment ago. Later the same wish is another gift.
const overMs = 3600 * 1000;
const present = (g) => !g.left && (!["succeeded", "canceled", "refunded"].includes(g.status) || Date.now() - g.at < overMs);

// current is the gift that a page shows instead of its form, if any: one that was sent, or
// was about to be.
export const current = (scope) => gifts(scope).find((g) => g.payment && present(g));
