// One gift's way from the tap to the receipt, as its donor sees it.
//
// The one rule: what is shown is what the service said last. "Thank you" is said when the
// state is "succeeded" and never before.
import { call, insist, later, unknown } from "./call.js";
import { CardFault, confirm, mount } from "./card.js";
import { freshKey, refresh, update } from "./gifts.js";
import { money } from "./money.js";
import { about, el, moment, page, say, sleep } from "./page.js";

const second = 1000;
// How long the server is asked to wait for news, in seconds.
const waitSeconds = 20;
// A change between an answer and the next question would be seen only when that question
// ends: a look right behind it, in ms, sees it.
const lookMs = 400;
// Pause between looks of a page that nobody sees, in ms.
const hiddenMs = 15 * second;
// How long a bank's word may be on its way before the donor is asked again, in ms.
const bankMs = 12 * second;
// How long a gift whose answer was lost is looked for before we say that it is not there.
const searchMs = 120 * second;
// How long a gift that was begun goes on by itself when its page is opened again, in ms.
// Later its donor is asked: nobody expects a charge for what was given up yesterday.
const resumeMs = 30 * 60 * second;
// How long the ledger may be silent before we say so: a new gift is on its way to it.
const staleMs = 10 * second;

const over = ["succeeded", "refunded", "canceled", "disputed"];

// follow shows the gift in root, sending it first when that has not been done, until stop
// is called. hooks: accepted(gift), refused(problem, gift), again() for another gift, with
// againText on its button; joined when the same wish was sent before; tapped when the
// donor has just sent it, and looks here next.
export function follow(root, gift, hooks = {}) {
  const stopped = new AbortController();
  const { signal } = stopped;
  const act = { busy: "", since: 0, confirmed: "", asked: -1, note: "", fault: "" };
  let state = null; // what the service said last
  let shown = ""; // key of the view
  let poke = () => {}; // ends the present wait
  let round = new AbortController(); // the present wait's calls

  const alive = () => !signal.aborted;
  const awake = () => poke();
  document.addEventListener("visibilitychange", awake, { signal });
  addEventListener("online", awake, { signal });

  // draw shows a view. The same view again changes its words only, so that what is being
  // typed stays and nothing is read out twice.
  function draw(view) {
    const words = [view.text, act.fault, act.note, hooks.joined && "You sent it before; it is one gift."].filter(Boolean).join(" ");
    if (view.key !== shown) {
      const held = root.contains(document.activeElement) || (hooks.tapped && document.activeElement === document.body);
      shown = view.key;
      const title = el("h2", { tabindex: "-1", class: "status-title" }, view.title);
      root.className = "status " + (view.mood || "");
      root.dataset.state = view.key.split(" ")[0];
      root.replaceChildren(steps(view.step), title, el("p", { class: "status-text" }, words), ...(view.parts ? view.parts().flat().filter(Boolean) : []));
      root.hidden = false;
      if (held) {
        title.focus({ preventScroll: true });
        root.scrollIntoView({ block: "nearest" });
      }
    } else {
      const p = root.querySelector(".status-text");
      const before = p.textContent;
      p.textContent = words;
      if (before.replace(/\d+/g, "") === words.replace(/\d+/g, "")) return; // only seconds went by
    }
    say(view.title + ". " + words);
  }

  // question tells one question of the bank from another: each attempt may have its own.
  const question = () => state.attempt_no + " " + state.next_action?.client_secret;

  const redraw = () => alive() && draw(view());

  function view() {
    if (!gift.id && act.resting) {
      return { key: "begun", mood: "warn", title: "You have begun a gift", text: `That was on ${moment(gift.at)}, and we do not know whether it arrived. Sent again it is still one gift, charged once.`,
        parts: () => [summary(gift), el("div", { class: "actions" }, el("button", { type: "button", class: "big", click: () => act.resting() }, "Send it again"), again())] };
    }
    if (!gift.id) return { key: "sending", step: 0, title: "Sending your gift", text: "Please keep this page open for a moment.", parts: () => [summary(gift)] };
    if (!state) return { key: "asking", step: 0, title: "Your gift", text: "We are looking up where it stands." };
    if (state.missing) return missing(gift, state, hooks);
    if (state.conflict) {
      return { key: "conflict", mood: "bad", title: "This is not the gift that counts",
        text: "Another gift was recorded first from the same form, and it alone is charged.", parts: () => [again()] };
    }
    if (!("amount_minor" in state)) {
      // The ledger has not told yet; what is known is what was said when it was accepted.
      if (gift.token && state.stale) return { key: "accepted", step: 1, title: "We have your gift", text: "It is safe with us. Your card will be charged soon; there is nothing more to do.", parts: () => [gift.lines.length > 0 && summary(gift), ownLink(gift)] };
      return publicView(state);
    }
    const key = state.status + " " + state.attempt_no;
    const facts = () => [summary(state), ownLink(gift)];
    const cancelAsked = act.asked === state.attempt_no;
    switch (state.status) {
      case "accepted":
      case "charging": {
        const text = cancelAsked ? "We have your cancellation. Where the card was not charged before, it will not be." : state.status_text;
        const wait = state.expected_wait_seconds > 5 ? ` It should take ${about(state.expected_wait_seconds)}; you may close this page.` : "";
        return { key: key + cancelAsked, step: state.status === "accepted" ? 1 : 2, title: state.status === "accepted" ? "We have your gift" : "Your card is being charged",
          text: text + (cancelAsked ? "" : wait), parts: () => [...facts(), state.status === "accepted" && !cancelAsked && cancelButton()] };
      }
      case "requires_action":
        if (cancelAsked) return { key: key + "asked", step: 2, title: "Canceling", text: "We have your cancellation.", parts: () => [...facts()] };
        if (act.confirmed === question() && Date.now() - act.since < bankMs) {
          return { key: key + " told", step: 2, title: "Waiting for your bank", text: "Thank you. We are waiting for your bank's word.", parts: () => [...facts()] };
        }
        return { key, mood: "warn", step: 2, title: "Your bank needs you", text: state.status_text,
          parts: () => [el("div", { class: "actions" }, el("button", { type: "button", class: "big", click: atBank }, "Confirm with your bank")), ...facts(), cancelButton()] };
      case "succeeded":
        return { key: key + state.refunded_minor, mood: "good", step: 3, title: "Thank you!", text: partly(state) || state.status_text.replace(/^Thank you! /, ""),
          parts: () => [receipt(state), ownLink(gift), el("div", { class: "actions" }, el("button", { type: "button", class: "plain", click: () => print() }, "Print"), again())] };
      case "failed":
        if (act.busy === "attempt") return { key: key + " sending", step: 1, title: "Trying your card", text: "We are sending it.", parts: () => [...facts()] };
        if (gift.attempt?.taken && gift.attempt.no >= state.attempt_no) return { key: key + " taken", step: 1, title: "We have your other card", text: "It will be charged soon; there is nothing more to do.", parts: () => [...facts()] };
        if (cancelAsked) return { key: key + "asked", title: "Canceling", text: "We have your cancellation.", parts: () => [...facts()] };
        if (act.enough) return { key: key + " enough", mood: "bad", title: "Your gift was not charged", text: state.status_text, parts: () => [...facts(), again()] };
        return { key, mood: state.reason === "card_needed" ? "warn" : "bad",
          title: state.reason === "card_needed" ? "We need your card once more" : "Your gift was not charged", text: state.status_text,
          parts: () => [anotherCard(), ...facts(), cancelButton()] };
      case "canceled":
        return { key, title: "Canceled", text: state.status_text, parts: () => [...facts(), again()] };
      default: // refunded, disputed, and words that may come
        return { key, title: { refunded: "Given back", disputed: "Questioned by your bank" }[state.status] || "Your gift", text: state.status_text || "", parts: () => [receipt(state), ownLink(gift), again()] };
    }
  }

  const again = () => hooks.again && el("button", { type: "button", class: "plain", click: () => { stop(); hooks.again(); } }, hooks.againText);

  // cancelButton asks twice, in place.
  function cancelButton() {
    const box = el("div", { class: "actions" });
    const ask = el("button", { type: "button", class: "link", click: () => {
      const yes = el("button", { type: "button", class: "danger", click: cancel }, "Yes, cancel it");
      box.replaceChildren(el("span", {}, "Cancel this gift?"), yes,
        el("button", { type: "button", class: "plain", click: () => { box.replaceChildren(ask); ask.focus(); } }, "No, keep it"));
      yes.focus();
    } }, "Cancel this gift");
    box.append(ask);
    return box;
  }

  async function cancel() {
    act.asked = state.attempt_no;
    act.fault = "";
    redraw();
    const answer = await insist(() => call("DELETE", "/v1/donations/" + gift.id, { token: gift.token, signal }), waiting, signal);
    act.note = "";
    if (!answer.ok) {
      act.asked = -1;
      act.fault = answer.body.detail || "";
    }
    awake();
    redraw();
  }

  // atBank opens the bank's question. What comes of it is the state's to tell.
  async function atBank() {
    const action = state.next_action;
    const asked = question();
    if (!action || act.busy) return;
    act.busy = "bank";
    act.fault = "";
    try {
      if (await confirm(action, gift)) {
        act.confirmed = asked;
        act.since = Date.now();
        sleep(bankMs + second, signal).then(redraw);
      }
    } catch (e) {
      act.fault = e instanceof CardFault ? e.message : "That did not work. Please try again.";
    }
    act.busy = "";
    awake();
    redraw();
  }

  // anotherCard is the form for another try.
  function anotherCard() {
    const box = el("div", { class: "card-field", id: "again" });
    const error = el("p", { class: "error", role: "alert", hidden: true });
    const button = el("button", { type: "submit", class: "big", disabled: true }, "Try again with this card");
    let card;
    mount(box, state.amount_minor, state.currency).then(
      (c) => { card = c; button.disabled = false; },
      (e) => { error.textContent = e.message; error.hidden = false; });
    return el("form", { novalidate: true, class: "stack", submit: async (e) => {
      e.preventDefault();
      if (!card || act.busy) return;
      act.busy = "card";
      act.fault = "";
      error.hidden = true;
      try {
        await card.check();
        // Stored before it is sent, as the gift itself was.
        refresh(gift);
        if (gift.attempt?.no !== state.attempt_no) {
          update(gift, { attempt: { key: freshKey(), no: state.attempt_no, at: Date.now(), payment: await card.token() } });
        }
        await sendAttempt();
      } catch (fault) {
        act.busy = "";
        if (!(fault instanceof CardFault)) throw fault;
        if (fault.shown) box.querySelector("[aria-invalid]")?.focus();
        else { error.textContent = fault.message; error.hidden = false; }
      }
    } }, box, error, el("div", { class: "actions" }, button));
  }

  async function sendAttempt() {
    act.busy = "attempt";
    redraw();
    const { attempt } = gift;
    const answer = await insist(() => call("POST", `/v1/donations/${gift.id}/attempts`, { token: gift.token, key: attempt.key, body: { payment: attempt.payment }, signal }), waiting, signal);
    if (!alive()) return;
    act.busy = "";
    act.note = "";
    act.fault = answer.ok || answer.body.code === "attempt_not_failed" ? "" : answer.body.detail || "";
    act.enough = answer.body.code === "too_many_attempts";
    update(gift, { attempt: answer.ok ? { no: attempt.no, taken: true } : null });
    awake();
    redraw();
  }

  // waiting says why nothing moves.
  function waiting(answer, pause, offline) {
    if (!alive()) return;
    const soon = Math.max(1, Math.round(pause / second));
    act.note = offline ? "You are offline. This goes on by itself when you are back."
      : answer.status === 0 ? `We cannot reach the service. We try again by ourselves in ${soon} s.`
      : answer.status === 429 ? `Many gifts come from your network. We try again by ourselves in ${soon} s.`
      : answer.status !== 503 ? `Something does not work on our side. We try again by ourselves in ${soon} s.`
      : `Many people are giving right now. We try again by ourselves in ${soon} s; you need not do anything.`;
    redraw();
  }

  // send sends the gift until it is known what became of it.
  async function send() {
    redraw();
    // A page that died while it sent knows no more than one whose answer was lost.
    refresh(gift);
    if (!gift.id) update(gift, gift.sent ? { doubt: true } : { sent: true });
    const answer = await insist(async () => {
      refresh(gift);
      if (gift.id) return { ok: true, status: 202, body: gift }; // another tab was told
      const a = await call("POST", "/v1/donations", { key: gift.key, body: { ...gift.body, payment: gift.payment }, signal });
      if (unknown(a) && alive()) update(gift, { doubt: true });
      return a;
    }, waiting, signal);
    if (!alive()) return false;
    act.note = "";
    if (answer.ok) {
      // The content has been stored where it belongs: nothing personal stays behind.
      update(gift, { id: answer.body.id, token: answer.body.token, body: undefined, told: true });
      hooks.accepted?.(gift);
      return true;
    }
    if (gift.doubt && answer.body.token) {
      // Refused now, but an earlier try may have arrived: the state alone decides.
      update(gift, { id: answer.body.donation_id, token: answer.body.token, search: Date.now(), why: answer.body.detail });
      return true;
    }
    stop();
    hooks.refused?.(answer.body, gift);
    return false;
  }

  // see takes an answer about the state.
  function see(answer) {
    if (!alive()) return;
    if (answer.ok) {
      // While the ledger cannot be asked, what it told before is the newest that is known.
      if (!answer.body.stale || !state || !("amount_minor" in state)) state = answer.body;
      act.stale = answer.body.stale ? act.stale || Date.now() : 0;
      act.note = act.stale && Date.now() - act.stale > staleMs ? "We cannot ask for news at the moment; this is what we knew last." : "";
      if (gift.attempt?.taken && state.attempt_no > gift.attempt.no) update(gift, { attempt: null });
      if (!gift.told) {
        update(gift, { body: undefined, told: true });
        hooks.accepted?.(gift);
      }
      if (gift.status !== state.status) update(gift, { status: state.status });
    } else if (answer.status === 404 || answer.status === 401) {
      state = { missing: answer.status, retryable: answer.body.retryable };
    } else if (unknown(answer) || answer.status === 429) {
      act.note = navigator.onLine === false ? "You are offline. This goes on by itself when you are back." : "We cannot reach the service at the moment. This page goes on asking.";
    }
    redraw();
    if (state?.status === "requires_action" && !document.hidden && act.opened !== question()) {
      act.opened = question(); // by itself once, then by the button
      atBank();
    }
  }

  // watch asks for the state until it is over, and then once whenever the page is looked at
  // again: a refund may come much later.
  async function watch() {
    const path = "/v1/donations/" + gift.id;
    const ask = (wait, until = signal) => call("GET", wait ? `${path}?wait=${wait}` : path, { token: gift.token, signal: until, longer: wait * second });
    for (let failures = 0; alive(); ) {
      const first = await ask(0);
      see(first);
      failures = unknown(first) || first.status === 429 ? failures + 1 : 0;
      const poked = new Promise((resolve) => (poke = resolve));
      const idle = (ms) => Promise.race([poked, sleep(ms, signal)]);
      if (failures) await idle(later(first, failures));
      else if (state?.missing === 401) return;
      else if (state?.missing) await idle(2 * second + Math.random() * second);
      else if (over.includes(state?.status)) await poked;
      else if (document.hidden) await idle(hiddenMs * (0.8 + Math.random() * 0.4));
      else {
        const begun = Date.now();
        const before = gist(state);
        round = new AbortController();
        const long = ask(waitSeconds, round.signal).then((answer) => answer.ok && see(answer));
        sleep(lookMs, round.signal).then(async () => {
          const answer = !round.signal.aborted && (await ask(0, round.signal));
          if (answer.ok && !round.signal.aborted && gist(answer.body) !== gist(state)) poke();
        });
        await Promise.race([long, poked]);
        round.abort();
        // No place to wait was free: not again at once.
        if (Date.now() - begun < second && gist(state) === before) await idle(second + Math.random() * second);
      }
    }
  }

  async function run() {
    if (!gift.id && !hooks.tapped && Date.now() - gift.at > resumeMs) {
      await new Promise((resolve) => {
        act.resting = resolve;
        redraw();
      });
      act.resting = null;
    }
    if (!gift.id && !(await send())) return;
    redraw();
    const { attempt } = gift; // stored, and perhaps never sent
    if (attempt?.payment && Date.now() - attempt.at < resumeMs) sendAttempt();
    else if (attempt?.payment) update(gift, { attempt: null });
    await watch();
  }

  function stop() {
    stopped.abort();
    round.abort();
    poke();
  }

  run();
  return stop;
}

// gist is what a donor would notice of a state.
const gist = (s) => s && [s.status, s.reason, s.attempt_no, s.refunded_minor, s.dispute, s.stale].join();

// steps shows how far the gift is, for eyes; the words say it too.
const names = ["Sending", "Received", "Charging", "Paid"];

function steps(at) {
  if (at === undefined) return "";
  return el("ol", { class: "steps", "aria-hidden": "true" },
    ...names.map((name, i) => el("li", { class: i < at || at === names.length - 1 ? "done" : i === at ? "now" : "" }, name)));
}

const publicWords = {
  accepted: "This gift was received; its card has not been charged yet.", charging: "This gift's card is being charged.",
  requires_action: "The donor's bank wants a confirmation.", succeeded: "This gift was paid.", failed: "This gift was not charged.",
  canceled: "This gift was canceled.", refunded: "This gift was given back.", disputed: "This gift was questioned by the donor's bank.",
};

const publicView = (state) => ({
  key: "public " + state.status, title: "A gift", text: publicWords[state.status] || "",
  parts: () => [el("p", { class: "hint" }, "To see more, open the whole link that you were given: the part behind # shows that the gift is yours.")],
});

function missing(gift, state, hooks) {
  if (state.missing === 401) return { key: "401", mood: "bad", title: "This link is not complete", text: "The part behind # does not belong to this gift. Check that the whole link was copied." };
  const again = hooks.again && el("button", { type: "button", class: "plain", click: hooks.again }, hooks.againText);
  if (!gift.search && !state.retryable) return { key: "404", mood: "bad", title: "We do not know this gift", text: "Check that the whole link was copied." };
  if (Date.now() - (gift.search || 0) < searchMs) return { key: "search", step: 0, title: "Looking for your gift", text: "An answer was lost on its way. We are finding out whether your gift arrived." };
  return { key: "lost", mood: "warn", title: "Your gift did not arrive", text: `We looked for it for two minutes and did not find it; nothing was charged so far. ${gift.why || ""}`, parts: () => [ownLink(gift), again] };
}

const partly = (state) => state.refunded_minor > 0 && `Your donation has been paid; ${money(state.refunded_minor, state.currency)} of it has been given back to you.`;

// summary is one line about what is given.
function summary(g) {
  const total = g.amount_minor ?? g.amount;
  const n = g.lines.length;
  const p = el("p", { class: "summary" }, el("strong", { class: "num" }, money(total, g.currency)), n > 1 ? ` to ${n} campaigns` : " to ", n === 1 && campaignName(g.lines[0].campaign));
  return p;
}

const ownLink = (gift) => gift.id && gift.token && location.pathname !== "/d/" + gift.id &&
  el("p", { class: "hint" }, el("a", { href: `/d/${gift.id}#${gift.token}` }, "Your gift's own page"), ": keep this link to come back later. Whoever has it can see the gift, and cancel it while it is not charged.");

// What a campaign is called, asked for once.
const campaigns = new Map();

export function campaign(slug) {
  if (!campaigns.has(slug)) campaigns.set(slug, call("GET", "/v1/campaigns/" + encodeURIComponent(slug)).then((a) => (a.ok ? a.body : null)));
  return campaigns.get(slug);
}

function campaignName(slug) {
  const known = page.campaign?.slug === slug && page.campaign.name;
  const link = el("a", { href: "/c/" + slug }, known || slug);
  if (!known) campaign(slug).then((c) => c && (link.textContent = c.name));
  return link;
}

// receipt is what a receipt has: who received, how much, when, and the gift's number.
function receipt(state) {
  const row = (term, ...value) => el("div", {}, el("dt", {}, term), el("dd", {}, ...value));
  const list = el("dl", { class: "receipt" });
  for (const line of state.lines) {
    const to = el("span", {});
    list.append(row(campaignName(line.campaign), el("span", { class: "num" }, money(line.amount_minor, state.currency)), to));
    campaign(line.campaign).then((c) => {
      const legal = c?.organisation_legal || c?.organisation;
      if (legal) to.append(el("br"), legal, c.tax_number ? el("span", {}, el("br"), "Tax number " + c.tax_number) : "");
    });
  }
  if (state.fee_cover_minor > 0) list.append(row("Covered fee", el("span", { class: "num" }, money(state.fee_cover_minor, state.currency))));
  list.append(row("Charged", el("strong", { class: "num" }, money(state.amount_minor, state.currency))));
  if (state.refunded_minor > 0) list.append(row("Given back", el("span", { class: "num" }, money(state.refunded_minor, state.currency))));
  list.append(row("Date", el("time", { datetime: state.accepted_at }, moment(state.accepted_at))), row("Donation", el("code", {}, state.id)));
  return list;
}
