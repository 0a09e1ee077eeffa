// The giving form of a campaign's page and of the basket: from a tap to a gift that is
// stored, sent and followed.
import * as basket from "./basket.js";
import { CardFault, mount, simulated } from "./card.js";
import { clear, clearAll, fault, focusFirst } from "./fields.js";
import { claim, current, forget, refresh, update } from "./gifts.js";
import { amountMax, cover, hint, money, plain, presets, read } from "./money.js";
import { el, find, findAll, page, say, show } from "./page.js";
import { follow } from "./status.js";

const form = find("form[data-give]");
const campaign = page.kind === "campaign" ? page.campaign : null;
const scope = campaign ? "c/" + campaign.slug : "basket";
const id = (name) => document.getElementById(name);
const fee = page.fee || page.processor?.fee;

let card; // the open card field
let opening; // while it opens
let busy = false;

// lines is what is given, {campaign, amount_minor} by slug, in one currency.
function lines() {
  if (campaign) return [{ campaign: campaign.slug, amount_minor: amount() }];
  return chosen().map((i) => ({ campaign: i.slug, amount_minor: i.amount_minor })).sort((a, b) => (a.campaign < b.campaign ? -1 : 1));
}

const chosen = () => basket.items().filter((i) => i.currency === currency());

function currency() {
  if (campaign) return campaign.currency;
  const all = basket.items().map((i) => i.currency);
  return all.includes(id("currency").value) ? id("currency").value : all[0];
}

// amount is what was chosen or typed, in minor units; NaN for nothing sensible.
function amount() {
  const preset = find("[name=preset]:checked", form);
  return preset ? Number(preset.value) : read(id("own").value, campaign.currency);
}

const sum = () => lines().reduce((total, l) => total + l.amount_minor, 0);
const covered = () => (fee && id("cover").checked && sum() > 0 ? cover(sum(), fee) : 0);

// recount brings every figure that follows from the amounts up to date.
function recount() {
  const total = sum();
  const sound = total > 0 && total <= amountMax;
  const code = currency();
  find("[data-pay]", form).textContent = sound ? money(total + covered(), code, true) : "";
  show(find("[data-cover]", form), Boolean(fee && sound));
  if (fee && sound) find("[data-cover-text]", form).textContent = `Add ${money(cover(total, fee), code)} to cover the card fee, so that all of ${money(total, code)} arrives`;
  const together = find("[data-sum]", form);
  if (together) together.textContent = sound ? money(total, code) : "";
  if (sound) card?.update(total + covered());
}

// content is the request's body without its payment: the same wish gives the same text.
function content() {
  const text = (name) => id(name).value.trim();
  const donor = { anonymous: id("anonymous").checked, hide_amount: id("hide-amount").checked };
  if (text("donor-name")) donor.name = text("donor-name");
  if (text("donor-email")) donor.email = text("donor-email");
  const body = { currency: currency(), lines: lines(), fee_cover_minor: covered(), donor };
  if (text("message")) body.message = text("message");
  if (id("dedication-kind").value) body.dedication = { kind: id("dedication-kind").value, name: text("dedication-name") };
  return body;
}

// pointers of the API's faults, and the inputs that they are about.
const inputs = {
  "/donor/name": "donor-name", "/donor/email": "donor-email", "/message": "message",
  "/dedication/kind": "dedication-kind", "/dedication/name": "dedication-name", "/fee_cover_minor": "cover",
};

// place shows one of the API's faults at its input; false when it has none.
function place({ pointer, detail }, sent) {
  const text = detail.charAt(0).toUpperCase() + detail.slice(1) + ".";
  const line = /^\/lines(?:\/(\d+))?/.exec(pointer);
  let input = id(inputs[pointer]);
  if (line) input = campaign ? id("own") : find(`[data-slug="${sent.lines[line[1] || 0]?.campaign}"] input`);
  if (pointer.startsWith("/payment")) input = id("card");
  if (input) fault(input, text);
  return Boolean(input);
}

function complain(text) {
  const p = find("[data-give-error]", form);
  p.textContent = text;
  show(p, Boolean(text));
}

// bounds says what a line may be, "" when it may be this; text is what was typed.
function bounds(minor, of, text) {
  const least = of.min_minor || 1;
  const most = Math.min(of.max_minor || amountMax, amountMax);
  if (Number.isNaN(minor)) return hint(text, of.currency) || "Enter an amount, such as " + plain(2500, of.currency) + ".";
  if (minor < least) return "The least here is " + money(least, of.currency) + ".";
  if (minor > most) return "The most here is " + money(most, of.currency) + ".";
  return "";
}

// sound looks at everything that can be judged here, shows what is wrong, and tells
// whether nothing is. The service judges again.
function sound() {
  clearAll(form);
  complain("");
  if (campaign) {
    const wrong = bounds(amount(), campaign, id("own").value);
    if (wrong) fault(id("own"), wrong);
  } else {
    for (const li of findAll("[data-slug]")) {
      const input = find("input", li);
      const item = basket.items().find((i) => i.slug === li.dataset.slug);
      const wrong = item && bounds(read(input.value, item.currency), item, input.value);
      if (wrong) fault(input, wrong);
    }
  }
  const email = id("donor-email");
  if (email.value.trim() && !/^[^\s@]+@[^\s@]+\.[^\s@]+$/.test(email.value.trim())) fault(email, "This does not look like an e-mail address.");
  return !focusFirst(campaign ? form : document);
}

// open opens the card field, once; Stripe's script is loaded for that and no earlier.
function open() {
  opening ||= mount(find("[data-card]", form), sum() > 0 ? sum() + covered() : 1000, currency()).then(
    (c) => { card = c; complain(""); },
    (e) => { opening = null; complain(e.message); });
  return opening;
}

async function submit(e) {
  e.preventDefault();
  if (busy) return; // a second click is the same tap
  busy = true;
  const button = find("[data-submit]", form);
  button.setAttribute("aria-disabled", "true");
  try {
    if (!sound()) return;
    if (!card) await open();
    if (!card) return;
    await card.check();
    const body = content();
    // From here on this wish has a key, in this browser and all its tabs.
    const gift = await claim(scope, body);
    const joined = Boolean(gift.payment);
    if (!joined) {
      const payment = await card.token(body.donor).catch((e) => {
        refresh(gift);
        if (!gift.payment) forget(gift); // nothing was sent, by no tab, so nothing has to be found again
        throw e;
      });
      refresh(gift); // another tab may have been quicker
      if (!gift.payment) update(gift, { payment });
    }
    begin(gift, { tapped: true, joined });
  } catch (error) {
    if (!(error instanceof CardFault)) throw error;
    if (!error.shown) complain(error.message);
    else focusFirst(form);
  } finally {
    busy = false;
    button.removeAttribute("aria-disabled");
  }
}

// begin shows the gift in place of the form.
function begin(gift, how) {
  let panel = find("[data-status]");
  if (!panel) { // giving has closed since
    panel = el("section", { class: "status", "data-status": true, "aria-label": "Your gift" });
    find(".give-card").append(panel);
  }
  show(form, false);
  show(find("[data-basket]"), false);
  show(find("[data-basket-empty]"), false);
  follow(panel, gift, {
    ...how,
    accepted() {
      form && find("[data-card]", form).replaceChildren(); // and the card with it
      card = opening = null;
      if (!campaign) basket.remove(gift.lines.map((l) => l.campaign));
    },
    againText: campaign ? "Give again" : "See the campaigns",
    // again gives the form back, for another gift.
    again() {
      if (gift.id) update(gift, { left: true });
      else forget(gift);
      if (campaign) location.reload();
      else location.assign("/");
    },
    refused(problem) {
      forget(gift);
      if (!form) return location.reload();
      show(panel, false);
      show(form, true);
      show(find("[data-basket]"), true);
      if (gift.body) fill(gift.body);
      open();
      const unplaced = (problem.fields || []).filter((f) => !place(f, gift));
      complain(problem.fields?.length && !unplaced.length ? "" : [problem.title + ".", ...unplaced.map((f) => f.detail + ".")].join(" "));
      if (!focusFirst(campaign ? form : document)) find("[data-submit]", form).focus();
    },
  });
}

// fill brings back what was typed before a reload.
function fill(body) {
  id("donor-name").value = body.donor.name || "";
  id("donor-email").value = body.donor.email || "";
  id("anonymous").checked = body.donor.anonymous;
  id("hide-amount").checked = body.donor.hide_amount;
  id("message").value = body.message || "";
  id("dedication-kind").value = body.dedication?.kind || "";
  id("dedication-name").value = body.dedication?.name || "";
  show(find("[data-dedicated]", form), Boolean(body.dedication));
  if (campaign) type(body.lines[0].amount_minor);
  id("cover").checked = body.fee_cover_minor > 0;
  recount();
}

// type puts an amount into the form: a preset where it is one.
function type(minor) {
  const preset = findAll("[name=preset]", form).find((input) => Number(input.value) === minor);
  if (preset) preset.checked = true;
  else id("own").value = plain(minor, campaign.currency);
}

// setUpCampaign fills the amounts in.
function setUpCampaign() {
  const amounts = presets(campaign);
  findAll(".preset", form).forEach((label, i) => {
    show(label, i < amounts.length);
    if (i >= amounts.length) return;
    find("input", label).value = amounts[i];
    find("span", label).textContent = money(amounts[i], campaign.currency, true);
  });
  const least = money(campaign.min_minor || 1, campaign.currency, true);
  find("[data-bounds]", form).textContent = campaign.max_minor < amountMax ? `From ${least} to ${money(campaign.max_minor, campaign.currency, true)}.` : `${least} or more.`;
  if (amounts.length > 1) type(amounts[1]);
  const own = id("own");
  own.addEventListener("input", () => {
    if (own.value.trim()) findAll("[name=preset]", form).forEach((input) => (input.checked = false));
  });
  findAll("[name=preset]", form).forEach((input) => input.addEventListener("change", () => {
    own.value = "";
    clear(own);
  }));
  find("[data-basket-add]", form).addEventListener("click", () => {
    clear(own);
    const minor = amount();
    const wrong = bounds(minor, campaign, own.value);
    if (wrong) {
      fault(own, wrong);
      own.focus();
      return;
    }
    const { slug, name, organisation, min_minor, max_minor } = campaign;
    const put = basket.put({ slug, name, organisation, currency: campaign.currency, exponent: campaign.exponent, min_minor, max_minor, amount_minor: minor });
    const text = put ? `${money(minor, campaign.currency)} for ${name} is in your basket.` : `A basket holds ${basket.linesMax} campaigns at most.`;
    find("[data-basket-text]", form).textContent = text;
    show(find("[data-basket-said]", form), true);
    say(text);
  });
}

// setUpBasket draws the basket's lines, and again when another tab changes them.
function setUpBasket() {
  const list = find("[data-basket]");
  const draw = () => {
    const all = basket.items();
    const codes = [...new Set(all.map((i) => i.currency))];
    const select = id("currency");
    const now = currency();
    select.replaceChildren(...codes.map((code) => el("option", { value: code, selected: code === now }, code)));
    show(find("[data-currencies]", form), codes.length > 1);
    findAll("[data-slug]", list).forEach((li) => li.remove());
    list.append(...all.map(line));
    show(find("[data-basket-empty]"), all.length === 0 && !current(scope));
    show(find("[data-basket-give]"), all.length > 0 || Boolean(current(scope)));
    if (all.length) recount();
  };
  const line = (item) => {
    const li = find("template[data-basket-line]", list).content.firstElementChild.cloneNode(true);
    const part = (name) => find(`[data-field="${name}"]`, li);
    li.dataset.slug = item.slug;
    part("name").textContent = item.name;
    part("name").href = "/c/" + encodeURIComponent(item.slug);
    part("organisation").textContent = item.organisation || "";
    const input = part("amount");
    input.id = "amount-" + item.slug;
    find("label", li).htmlFor = input.id;
    find("label", li).textContent = `Amount in ${item.currency}`;
    input.setAttribute("aria-label", `Amount for ${item.name} in ${item.currency}`);
    input.value = plain(item.amount_minor, item.currency);
    input.addEventListener("input", () => {
      clear(input);
      const minor = read(input.value, item.currency);
      if (!bounds(minor, item, input.value)) basket.put({ ...item, amount_minor: minor });
      recount();
    });
    part("remove").setAttribute("aria-label", "Remove " + item.name);
    part("remove").addEventListener("click", () => {
      basket.remove([item.slug]);
      draw();
      say(item.name + " is no longer in your basket.");
      (find("[data-basket] button") || find("h1")).focus();
    });
    return li;
  };
  id("currency").addEventListener("change", recount);
  // Not while an amount is being typed here.
  addEventListener("storage", () => list.contains(document.activeElement) || draw());
  draw();
}

if (form) {
  if (campaign) setUpCampaign();
  else setUpBasket();
  form.addEventListener("submit", submit);
  form.addEventListener("input", (e) => {
    clear(e.target);
    show(find("[data-dedicated]", form), id("dedication-kind").value !== "");
    recount();
  });
  for (const event of ["focusin", "pointerdown"]) form.addEventListener(event, open, { once: true });
  if (simulated) open(); // nothing is loaded from anywhere else
  find("[data-give-body]", form).disabled = false;
  recount();
}
// A gift that was begun before this page was loaded goes on, whether or not the form is
// still there.
const begun = current(scope);
if (begun && find(".give-card")) begin(begun);
// A page that the browser kept as it was (the back button) may be behind the others.
addEventListener("pageshow", (e) => {
  const gift = current(scope);
  if (e.persisted && gift && form?.hidden === false) begin(gift);
});
