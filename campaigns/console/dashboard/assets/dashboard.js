// Keeps the dashboard moving: one stream of moments, one a second, and the pictures of
// the last quarter of an hour. What it shows is written by the server; this file only
// puts it in place, draws, and says when it hears nothing.

const board = document.querySelector("[data-board]");
const pointsMax = 900;
const deafAfter = 4000;
const columnsMax = 300;
const leastShown = 120;
const calm = matchMedia("(prefers-reduced-motion: reduce)");
const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const all = (selector) => [...board.querySelectorAll(selector)];
const make = (name, className, text) => {
  const e = document.createElement(name);
  if (className) e.className = className;
  if (text !== undefined) e.textContent = text;
  return e;
};
const put = (e, text) => { if (e.textContent !== text) e.textContent = text; };

let series = {};
let number = 0;
let heard = 0;
let source;
let loading = false;

// How values are written on pictures.
const whole = new Intl.NumberFormat(undefined, { maximumFractionDigits: 0 });
const fine = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 });
const write = {
  count: (v) => whole.format(v),
  rate: (v) => (v < 10 ? fine : whole).format(v) + "/s",
  ms: (v) => (v < 1000 ? whole.format(v) + " ms" : v < 60000 ? fine.format(v / 1000) + " s" : fine.format(v / 60000) + " min"),
  // Pictures leave the cents to the figures.
  money: (v) => new Intl.NumberFormat(undefined, { style: "currency", currency: board.dataset.currency || "USD", maximumFractionDigits: 0 }).format(v / 10 ** Number(board.dataset.exponent)),
};

// The largest round number that a scale ends with, not below v.
function ceiling(v) {
  const power = 10 ** Math.floor(Math.log10(v));
  return [1, 2, 3, 5, 10].find((f) => f * power >= v) * power;
}

// columns gathers points that fall on one column of the picture: the largest counts,
// so that no peak is lost.
function columns(points) {
  const per = Math.max(1, Math.ceil(points.length / columnsMax));
  if (per === 1) return points;
  const out = [];
  // Columns keep their points while new ones come, so that the line moves and does not dance.
  let at = (number - points.length) % per;
  let most = null;
  for (const v of points) {
    if (v !== null && (most === null || v > most)) most = v;
    if (++at === per) { out.push(most); most = null; at = 0; }
  }
  if (at > 0) out.push(most);
  return out;
}

function draw(figure) {
  const lines = figure.dataset.chart.split(" ").map((name) => columns(series[name] || []));
  const unit = write[figure.dataset.unit];
  const known = lines.flat().filter((v) => v !== null);
  const says = figure.querySelector("[data-says]");
  const paths = [...figure.querySelectorAll("[data-line]")];
  if (known.length === 0) {
    for (const p of paths) p.removeAttribute("d");
    figure.querySelector("[data-area]").removeAttribute("d");
    put(says, "Nothing is known yet.");
    return;
  }
  const flat = "flat" in figure.dataset;
  let least = flat ? Math.min(...known) : 0;
  let most = Math.max(...known);
  if (flat) {
    if (most === least) { least -= 1; most += 1; }
    const room = (most - least) * 0.08;
    least -= room;
    most += room;
  } else {
    most = ceiling(Math.max(most, figure.dataset.unit === "ms" ? 10 : 1));
  }
  // A console that was just started has less than a quarter of an hour to show.
  const shown = (series[figure.dataset.chart.split(" ")[0]] || []).length;
  const wide = Math.max(2, Math.max(lines[0].length, Math.ceil(Math.min(leastShown, pointsMax) / Math.max(1, Math.ceil(shown / columnsMax)))));
  const y = (v) => (100 - ((v - least) / (most - least)) * 100).toFixed(1);
  lines.forEach((points, i) => {
    const x = (k) => (300 - ((points.length - 1 - k) / (wide - 1)) * 300).toFixed(1);
    let d = "", area = "", from = -1;
    points.forEach((v, k) => {
      if (v === null) { from = -1; return; }
      d += (from < 0 ? "M" : "L") + x(k) + " " + y(v);
      if (from < 0) from = k;
      if (k === points.length - 1 || points[k + 1] === null) {
        // A single point is a short line, or nobody would see it.
        if (from === k) d += "h.5";
        area += `M${x(from)} 100` + points.slice(from, k + 1).map((u, n) => `L${x(from + n)} ${y(u)}`).join("") + `L${x(k)} 100Z`;
      }
    });
    paths[i].setAttribute("d", d);
    if (i === 0) figure.querySelector("[data-area]").setAttribute("d", area);
  });
  const bound = Number(figure.dataset.bound || 0);
  const line = figure.querySelector("[data-boundline]");
  if (bound > 0 && bound < most) line.setAttribute("d", `M0 ${y(bound)}H300`);
  else line.removeAttribute("d");
  put(figure.querySelector("[data-most]"), unit(flat ? Math.max(...known) : most));
  put(figure.querySelector("[data-least]"), unit(flat ? Math.min(...known) : 0));
  const raw = (series[figure.dataset.chart.split(" ")[0]] || []).filter((v) => v !== null);
  if (raw.length) put(says, `now ${unit(raw[raw.length - 1])}, most ${unit(Math.max(...raw))}, least ${unit(Math.min(...raw))}`);
}

const charts = all("[data-chart]");
let drawn = 0;
function drawAll() {
  // Whoever asked for less motion gets a new picture now and then, not each second.
  const now = Date.now();
  if (document.hidden || (calm.matches && now - drawn < 15000)) return;
  drawn = now;
  charts.forEach(draw);
  fillTable();
}
document.addEventListener("visibilitychange", drawAll);

// The table is the pictures in words: a row for each minute, the largest value of it.
const table = board.querySelector("[data-table]");
function fillTable() {
  if (!table.open) return;
  const head = make("tr"), body = [];
  head.append(make("th", "", "Minutes ago"));
  const rows = charts.flatMap((f) => f.dataset.chart.split(" ").map((name, i) => {
    const key = f.querySelectorAll(".key")[i];
    head.append(make("th", "", f.querySelector("h2").textContent + (key ? `: ${key.textContent}` : "")));
    return { points: series[name] || [], unit: write[f.dataset.unit] };
  }));
  for (const cell of head.children) cell.scope = "col";
  for (let minute = 0; minute < 15; minute++) {
    const tr = make("tr"), th = make("th", "", `${minute} to ${minute + 1}`);
    th.scope = "row";
    tr.append(th);
    for (const { points, unit } of rows) {
      const part = points.slice(Math.max(0, points.length - 60 * (minute + 1)), Math.max(0, points.length - 60 * minute)).filter((v) => v !== null);
      tr.append(make("td", "", part.length ? unit(Math.max(...part)) : "–"));
    }
    body.push(tr);
  }
  table.querySelector("thead").replaceChildren(head);
  table.querySelector("tbody").replaceChildren(...body);
}
table.addEventListener("toggle", fillTable);

// apply puts a moment in place. Lists are only touched when they changed, so that a
// screen reader is not told the same thing every second.
let troublesWere, processesWere, rehearsalsWere;
function apply({ moment, figures, troubles, happenings }) {
  if (moment.totals.length) board.dataset.currency = moment.totals[0].currency;
  for (const tile of all("[data-tile]")) {
    const f = figures[tile.dataset.tile];
    if (!f) continue;
    put(tile.querySelector("[data-text]"), f.text);
    put(tile.querySelector("[data-note]"), f.note || "");
    if ((tile.dataset.level || "") !== (f.level || "")) tile.dataset.level = f.level || "";
  }
  const what = JSON.stringify(troubles.map((t) => [t.level, t.text]));
  if (what !== troublesWere) {
    troublesWere = what;
    board.querySelector("[data-troubles]").replaceChildren(...troubles.map((t) => make("li", "note " + t.level, t.text)));
  }
  const who = JSON.stringify(moment.processes.map((p) => [p.node, heardOf(p), p.roles]));
  if (who !== processesWere) {
    processesWere = who;
    board.querySelector("[data-processes]").replaceChildren(...(moment.processes.length ? moment.processes.map(card) : [make("li", "muted", "No process was heard yet.")]));
  }
  const rehearsed = JSON.stringify(moment.rehearsals.map((r) => [r.node, wordOf(r), r.says]));
  if (rehearsed !== rehearsalsWere) {
    rehearsalsWere = rehearsed;
    board.querySelector("[data-rehearsals-card]").hidden = moment.rehearsals.length === 0;
    board.querySelector("[data-rehearsals]").replaceChildren(...moment.rehearsals.map(rehearsal));
  }
  const list = board.querySelector("[data-happenings]");
  const last = Math.max(0, ...[...list.children].map((li) => Number(li.dataset.number) || 0));
  for (const h of [...happenings].reverse()) {
    if (h.number <= last) continue;
    list.querySelector("[data-none]")?.remove();
    const li = make("li", h.level), time = make("time", "", clock.format(new Date(h.at)));
    li.dataset.number = h.number;
    time.dateTime = h.at;
    li.append(time, " " + h.text);
    list.prepend(li);
  }
  while (list.children.length > 200) list.lastElementChild.remove();
}

// Old figures of somebody who is silent say how old they are.
const heardOf = (p) => p.state.replace("_", " ") + (p.state === "silent" || p.state === "gone" ? ` for ${Math.round(p.heard_ms / 1000)} s` : "");
const badge = { ready: "good", not_ready: "warn", silent: "warn", gone: "bad" };
function card(p) {
  const li = make("li", "process"), name = make("p", "process-name"), roles = make("ul");
  li.dataset.state = p.state;
  name.append(make("span", "badge " + (badge[p.state] || ""), heardOf(p)), " ", make("strong", "", p.node), " ", make("span", "small muted", p.build));
  for (const r of p.roles) {
    const line = make("li");
    line.append(make("strong", "", r.name), " ", make("span", "num", r.ready ? r.doing || "" : r.reason));
    roles.append(line);
  }
  li.append(name, roles);
  return li;
}

const verdict = (r) => r.holds ? ["proof holds", "good"] : r.holds === false ? ["proof broken", "bad"] : ["ended", ""];
const wordOf = (r) => r.state === "stopped" ? verdict(r)[0] : r.state === "ready" ? "under way" : heardOf(r);
function rehearsal(r) {
  const li = make("li", "process"), name = make("p", "process-name"), says = make("ul");
  li.dataset.state = r.state;
  name.append(make("span", "badge " + (r.state === "stopped" ? verdict(r)[1] : badge[r.state] || ""), wordOf(r)), " ", make("strong", "", r.run));
  if (r.scenario) name.append(" ", make("span", "small muted", r.scenario));
  says.append(...r.says.map((text) => make("li", "num", text)));
  li.append(name, says);
  return li;
}

// load takes the whole dashboard: at the start, and when moments were missed.
async function load() {
  if (loading) return;
  loading = true;
  try {
    const answer = await fetch(board.dataset.document, { headers: { Accept: "application/json" } });
    if (answer.status === 401 || answer.status === 403) return out();
    if (!answer.ok) return;
    const all = await answer.json();
    series = all.history.series;
    number = all.history.number;
    apply(all);
    drawn = 0;
    drawAll();
  } catch {
    // The console is away; the stream comes back by itself, and this with it.
  } finally {
    loading = false;
  }
}

function out() {
  source?.close();
  board.querySelector("[data-out]").hidden = false;
  board.classList.add("deaf");
}

function listen() {
  source = new EventSource(board.dataset.live);
  source.addEventListener("moment", (event) => {
    heard = Date.now();
    const news = JSON.parse(event.data);
    const gap = news.moment.number - number;
    if (gap === 1) {
      number = news.moment.number;
      for (const [name, v] of Object.entries(news.point)) {
        const points = (series[name] ||= []);
        points.push(v);
        if (points.length > pointsMax) points.shift();
      }
    } else if (gap !== 0) {
      load();
    }
    apply(news);
    drawAll();
  });
  source.addEventListener("error", () => {
    if (source.readyState !== EventSource.CLOSED) return;
    // Refused: either nobody is signed in, which load finds out, or there is no room.
    load().then(() => { if (board.querySelector("[data-out]").hidden) setTimeout(listen, 3000); });
  });
}

setInterval(() => {
  const silence = Date.now() - heard;
  const deaf = heard > 0 && silence > deafAfter;
  board.querySelector("[data-deaf]").hidden = !deaf;
  if (deaf) put(board.querySelector("[data-deaf-since]"), `${Math.round(silence / 1000)} s`);
  if (board.querySelector("[data-out]").hidden) board.classList.toggle("deaf", deaf);
}, 1000);

for (const t of all("[data-happenings] time")) put(t, clock.format(new Date(t.dateTime)));
await load();
listen();
