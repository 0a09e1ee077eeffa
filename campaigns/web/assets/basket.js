// The basket: gifts to several campaigns, given with one payment. It lives in this
// browser only.
import { changed, keep, load } from "./gifts.js";
import { findAll } from "./page.js";

const name = "spillway.basket";

// The contract's most lines of one donation.
export const linesMax = 200;

// items are {slug, name, organisation, currency, exponent, min_minor, max_minor, amount_minor}, each
// campaign once.
export function items() {
  const list = load(name);
  return Array.isArray(list) ? list.filter((i) => typeof i?.slug === "string" && Number.isInteger(i.amount_minor)) : [];
}

const write = (list) => {
  keep(name, list);
  count();
};

// put adds a campaign, or gives it another amount. False when the basket is full.
export function put(item) {
  const list = items();
  const at = list.findIndex((i) => i.slug === item.slug);
  if (at < 0 && list.length >= linesMax) return false;
  if (at < 0) list.push(item);
  else list[at] = item;
  write(list);
  return true;
}

export const remove = (slugs) => write(items().filter((i) => !slugs.includes(i.slug)));

// count shows how many campaigns are in it, wherever the page says so.
function count() {
  const n = items().length;
  for (const e of findAll("[data-basket-count]")) {
    e.textContent = String(n);
    e.hidden = n === 0;
  }
  for (const e of findAll("[data-basket-link]")) e.hidden = n === 0 && !e.hasAttribute("data-always");
}

count();
changed(count);
