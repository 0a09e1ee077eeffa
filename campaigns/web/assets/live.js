// What moves on a page: totals, meters, feeds, leaders, times.
//
// The one rule: a figure is the service's own, never one in between, never an older one
// than what stands there; and when it may be older than was promised, the page says so.
import "./basket.js";
import { call } from "./call.js";
import { money } from "./money.js";
import { find, findAll, page } from "./page.js";
import { campaignsMax, pollMs, watch } from "./stream.js";

const staleMs = page.stale_ms || 2000;
// The service sends a heartbeat so often, in ms; silence for longer is an age.
const heartbeatMs = 5000;
const slugs = new Set();
for (const e of findAll("[data-campaign]")) {
  if (!e.closest("[data-leaders]") && e.dataset.campaign !== "day" && slugs.size < campaignsMax) slugs.add(e.dataset.campaign);
}
const day = Boolean(find('[data-campaign="day"]') || find("[data-leaders]"));

const versions = new Map();
// write changes a text, and marks what moved for a moment.
function write(e, text) {
  if (!e || e.textContent === text) return;
  e.textContent = text;
  e.classList.remove("moved");
  void e.offsetWidth; // so that the mark begins again
  e.classList.add("moved");
}

const of = (selector, campaign) => findAll(`${selector}[data-campaign="${CSS.escape(campaign)}"]`);
const count = (n) => n.toLocaleString(document.documentElement.lang || undefined);

function figures(campaign, currency, t) {
  for (const name of ["raised", "pledged"]) {
    for (const e of of(`[data-total="${name}"]`, campaign)) {
      if (!e.dataset.currency || e.dataset.currency === currency) write(e, money(t[name + "_minor"], currency, true));
    }
  }
}

function counts(campaign, name, n) {
  if (Number.isInteger(n)) for (const e of of(`[data-total="${name}"]`, campaign)) write(e, count(n));
}

function totals(t) {
  const [epoch, version] = versions.get(t.campaign) || [-1, -1];
  if (t.epoch < epoch || (t.epoch === epoch && t.version < version)) return;
  versions.set(t.campaign, [t.epoch, t.version]);
  figures(t.campaign, t.currency, t);
  counts(t.campaign, "donations", t.donations);
  for (const meter of of("[data-meter]", t.campaign)) {
    meter.value = Math.min(Math.max(t.raised_minor, 0), meter.max);
    meter.style.setProperty("--part", meter.max ? meter.value / meter.max : 0);
    const part = meter.max ? Math.floor((Math.max(t.raised_minor, 0) * 100) / meter.max) + "%" : "";
    for (const e of of("[data-percent]", t.campaign)) write(e, part);
  }
}

// said is what a gift's element tells; an organiser may have hidden a part of it since.
const said = (li) => ["name", "amount", "dedication", "message"].map((name) => find(`[data-field="${name}"]`, li)?.textContent).join("\n");

// wall brings a feed up to date: gifts that say what they said keep their elements.
function wall(w) {
  const campaign = w.campaign === "_day" ? "day" : w.campaign;
  if (campaign !== "day" && w.donors_as_of) counts(campaign, "donors", w.donors);
  for (const list of of("[data-feed]", campaign)) {
    if (!w.gifts) continue;
    const there = new Map(findAll("li[data-ref]", list).map((li) => [li.dataset.ref, li]));
    const next = w.gifts.map((g) => {
      const before = there.get(g.ref);
      const now = gift(list, g);
      return before && said(before) === said(now) ? before : now;
    });
    const kept = new Set(next);
    for (const li of there.values()) if (!kept.has(li)) li.remove();
    next.forEach((li, i) => {
      const at = findAll("li[data-ref]", list)[i];
      if (at !== li) list.insertBefore(li, at || null);
    });
    for (const e of of("[data-feed-empty]", campaign)) e.hidden = next.length > 0;
  }
}

function gift(list, g) {
  const li = find("template[data-gift]", list).content.firstElementChild.cloneNode(true);
  li.dataset.ref = g.ref;
  li.classList.add("moved");
  const part = (name, text) => {
    const e = find(`[data-field="${name}"]`, li);
    if (!e) return null;
    e.textContent = text || "";
    e.hidden = !text;
    return e;
  };
  part("name", g.name || "Anonymous");
  part("amount", g.amount_minor ? money(g.amount_minor, g.currency, true) : "a gift");
  part("dedication", g.dedication);
  part("message", g.message);
  const to = part("campaign", g.campaign_name || g.campaign);
  if (to && g.campaign) to.href = "/c/" + encodeURIComponent(g.campaign);
  const at = part("at", ago(g.at));
  if (at) at.dateTime = g.at;
  return li;
}

function wholeDay(d) {
  for (const t of d.totals || []) figures("day", t.currency, t);
  if (d.donors_as_of) counts("day", "donors", d.donors); // else they are being counted
  counts("day", "donations", (d.totals || []).reduce((n, t) => n + t.donations, 0));
  leaders();
}

// leaders asks for the leaderboards, at most so often: they are a page's smallest worry.
const leadersMs = 5000;
let asked = 0;

async function leaders() {
  const lists = findAll("[data-leaders]");
  if (!lists.length || Date.now() - asked < leadersMs) return;
  asked = Date.now();
  for (const list of lists) {
    const by = list.dataset.leaders;
    const answer = await call("GET", `/v1/leaderboards?by=${by}&limit=${Math.max(findAll("li", list).length, 5)}`);
    const rows = answer.ok && (answer.body.leaders || answer.body.campaigns || answer.body.items);
    if (!rows) continue;
    findAll("li", list).forEach((li) => li.remove());
    for (const row of rows) {
      const li = find("template[data-leader]", list).content.firstElementChild.cloneNode(true);
      li.dataset.campaign = row.slug;
      const name = find('[data-field="name"]', li);
      name.textContent = row.name;
      name.href = "/c/" + encodeURIComponent(row.slug);
      find('[data-field="figure"]', li).textContent = by === "donors" ? count(row.donors) : money(row.raised_minor, row.currency, true);
      list.append(li);
    }
  }
}

// Ages. heard is by this machine's clock, lag_ms by the service's: their sum is the age
// by a clock that both can trust.
// What was heard last; at first that is the page itself.
let age = { as_of: page.as_of, lag: 0, heard: performance.timeOrigin, polled: false };

function aged(d, heard, polled) {
  if (!Number.isFinite(d.lag_ms)) return;
  // Of several figures heard together the oldest counts.
  if (polled && age.polled && heard - age.heard < pollMs / 2 && age.lag > d.lag_ms) return;
  age = { as_of: d.as_of, lag: d.lag_ms, heard, polled };
  tick();
}

// stale tells whether figures may be older than was promised. Between two heartbeats
// nothing is said because nothing changes; a bound that breaks is said at once. Figures
// that are asked for now and then are always older.
const stale = (now) => age.polled || age.lag > staleMs || now - age.heard > heartbeatMs + staleMs;


const units = [["day", 86400], ["hour", 3600], ["minute", 60]];

// lasting says a duration as the page does, rounded down: "3 hours", "1 day".
function lasting(seconds) {
  const [unit, length] = units.find(([, n]) => seconds >= n) || [];
  if (!unit) return "less than a minute";
  const n = Math.floor(seconds / length);
  return `${count(n)} ${unit}${n === 1 ? "" : "s"}`;
}

function ago(at) {
  const seconds = (Date.now() - Date.parse(at)) / 1000;
  return seconds < 60 ? "just now" : lasting(seconds) + " ago";
}

function tick() {
  const now = Date.now();
  const old = stale(now);
  for (const e of findAll("[data-asof]")) {
    const time = find("time", e);
    if (old && age.as_of && time && time.dateTime !== age.as_of) {
      time.dateTime = age.as_of;
      time.textContent = new Date(age.as_of).toLocaleTimeString();
    }
    e.setAttribute("aria-live", age.polled ? "off" : "polite"); // not read out every ten seconds
    if (e.hidden === old) e.hidden = !old;
  }
  for (const e of findAll("time[data-left]")) {
    const seconds = (Date.parse(e.dateTime) - now) / 1000;
    const text = seconds > 0 ? "in " + lasting(seconds) : "now";
    if (e.textContent !== text) e.textContent = text;
  }
  for (const e of findAll('time[data-field="at"]')) {
    const text = ago(e.dateTime);
    if (e.textContent !== text) e.textContent = text;
  }
}

// switched hides what an organiser has switched off, on every open page.
function switched(s) {
  for (const e of findAll("[data-leaders]")) e.closest("section").hidden = s.leaderboards === false;
  for (const e of findAll("[data-feed]")) e.closest("section").hidden = s.feed === false;
}

watch({ campaigns: [...slugs], day, walls: findAll("[data-feed]").map((e) => (e.dataset.campaign === "day" ? "_day" : e.dataset.campaign)) }, page.switches?.live !== false, (name, data, heard, polled) => {
  aged(data, heard, polled);
  if (name === "switches") switched(data);
  else if (name === "totals") totals(data);
  else if (name === "wall") wall(data);
  else if (name === "day") wholeDay(data);
});
setInterval(() => document.hidden || tick(), 1000);

for (const b of findAll("[data-share]")) {
  b.hidden = !navigator.share;
  b.addEventListener("click", () => navigator.share({ title: document.title, url: find("link[rel=canonical]")?.href || location.href }).catch(() => {})); // closed again
}
for (const b of findAll("[data-copy]")) {
  b.hidden = !navigator.clipboard;
  b.addEventListener("click", async () => {
    const text = b.textContent;
    await navigator.clipboard.writeText(b.dataset.copy).then(() => (b.textContent = "Copied"), () => (b.textContent = "Could not copy"));
    setTimeout(() => (b.textContent = text), 2000);
  });
}
