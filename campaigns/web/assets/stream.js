// One live stream for all tabs of a browser: six of them would take every connection that
// HTTP/1.1 allows, and nobody could give any more.
//
// A tab that is seen asks for the lock; who holds it leads: it holds the stream, with the
// topics of all tabs that are seen, and passes everything on. A tab that is hidden needs
// nothing and gives the lock back. Without locks or channels each tab has its own stream.
import { call } from "./call.js";

// The service's most campaigns of one stream.
export const campaignsMax = 20;
// How often figures are asked for while there is no stream, in ms.
export const pollMs = 10_000;
// How long after a refused stream another one is tried, in ms; spread by as much again.
const reopenMs = 30_000;
const names = ["totals", "wall", "day", "heartbeat", "switches"];

const me = Math.random().toString(36).slice(2);
const shared = "BroadcastChannel" in window && navigator.locks;
const channel = shared ? new BroadcastChannel("spillway.live") : null;

// watch delivers events until the page ends: handle(name, data, heard, polled), heard in
// ms of this machine's clock. topics: {campaigns: [slug], day, walls: [slug]}, walls being
// those that are worth asking for without a stream. streams is false where the page says
// that there are none at the moment.
export function watch(topics, streams, handle) {
  const wanted = new Map(); // tab: its topics, while this one leads
  const last = new Map(); // newest event of each name and campaign
  let leading = null; // ends this tab's lead
  let asking = null; // the request for the lock
  let source = null;
  let open = ""; // what the stream is open for
  let timer = 0;
  let retry = 0;

  const tell = (message) => channel?.postMessage({ from: me, ...message });

  function deliver(name, data, polled) {
    const heard = Date.now();
    last.set(name + " " + (data.campaign ?? ""), { name, data, heard, polled });
    tell({ event: name, data, heard, polled });
    handle(name, data, heard, polled);
  }

  // all is the union of what is wanted, as many as a stream takes.
  function all() {
    const campaigns = new Set();
    const walls = new Set();
    let day = false;
    for (const t of wanted.values()) {
      t.campaigns.forEach((c) => campaigns.size < campaignsMax && campaigns.add(c));
      t.walls.forEach((c) => walls.add(c));
      day ||= t.day;
    }
    return { campaigns: [...campaigns].sort(), walls: [...walls], day };
  }

  // connect opens the stream for what is wanted now, unless the open one has it all.
  function connect() {
    if (!leading) return;
    const { campaigns, day } = all();
    const query = [...campaigns.map((c) => "campaign=" + encodeURIComponent(c)), ...(day ? ["day=1"] : [])].join("&");
    if (!query || (source && query === open)) return;
    if (!streams) {
      streams = true; // the next try is a stream's
      fall();
      return;
    }
    source?.close();
    open = query;
    source = new EventSource("/v1/live?" + query);
    const mine = source;
    for (const name of names) {
      source.addEventListener(name, (e) => {
        if (mine === source) deliver(name, JSON.parse(e.data));
      });
    }
    source.addEventListener("open", () => {
      clearInterval(timer);
      timer = 0;
    });
    // Streams are switched off: the service says so before it ends this one.
    source.addEventListener("retry", fall);
    source.addEventListener("error", () => mine === source && source.readyState === EventSource.CLOSED && fall());
  }

  // fall goes over to asking, and tries a stream again later.
  function fall() {
    source?.close();
    source = null;
    clearTimeout(retry);
    retry = setTimeout(connect, reopenMs * (1 + Math.random()));
    if (!timer && leading) {
      timer = setInterval(poll, pollMs);
      poll();
    }
  }

  const tags = new Map();

  async function ask(path) {
    const answer = await call("GET", path, { etag: tags.get(path) });
    if (answer.ok) tags.set(path, answer.head.get("ETag"));
    return answer;
  }

  // poll asks for everything once, one after the other: nobody is in a hurry now.
  async function poll() {
    const { campaigns, walls, day } = all();
    for (const campaign of campaigns) {
      const answer = await ask(`/v1/campaigns/${encodeURIComponent(campaign)}/totals`);
      if (!leading || !timer) return;
      if (answer.ok) deliver("totals", { campaign, ...answer.body }, true);
      else if (answer.status === 304) {
        deliver("heartbeat", { as_of: answer.head.get("Spillway-As-Of"), lag_ms: Number(answer.head.get("Spillway-Lag-Ms")) }, true);
      }
    }
    if (day) {
      const answer = await ask("/v1/day");
      if (answer.ok) deliver("day", answer.body, true);
    }
    for (const campaign of walls) {
      const answer = await ask(campaign === "_day" ? "/v1/day/gifts" : `/v1/campaigns/${encodeURIComponent(campaign)}/gifts`);
      if (answer.ok) deliver("wall", { campaign, ...answer.body }, true);
    }
  }

  function lead() {
    return new Promise((end) => {
      leading = end;
      wanted.clear();
      wanted.set(me, topics);
      tell({ who: true }); // the others say what they want
      setTimeout(connect, channel ? 50 : 0);
    });
  }

  function join() {
    if (!shared) {
      if (!leading) lead();
      return;
    }
    tell({ want: topics });
    if (asking) return;
    asking = new AbortController();
    navigator.locks.request("spillway.live", { signal: asking.signal }, lead).catch(() => {}); // hidden before it was our turn
  }

  function leave() {
    tell({ bye: true });
    asking?.abort();
    asking = null;
    source?.close();
    source = null;
    open = "";
    clearInterval(timer);
    clearTimeout(retry);
    timer = 0;
    leading?.();
    leading = null;
  }

  channel?.addEventListener("message", ({ data: m }) => {
    if (m.event) {
      if (!leading && !document.hidden) handle(m.event, m.data, m.heard, m.polled);
    } else if (m.who) {
      if (!document.hidden) tell({ want: topics });
    } else if (leading && m.bye) {
      wanted.delete(m.from);
    } else if (leading && m.want) {
      wanted.set(m.from, m.want);
      const before = open;
      connect();
      // The stream stays as it is: who came later hears what was said last.
      if (before === open) for (const { name, data, heard, polled } of last.values()) tell({ event: name, data, heard, polled });
    }
  });

  const look = () => (document.hidden ? leave() : join());
  document.addEventListener("visibilitychange", look);
  addEventListener("pagehide", leave);
  addEventListener("pageshow", (e) => e.persisted && look());
  if (!document.hidden) join();
}
