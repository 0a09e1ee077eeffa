// The demonstration's card field. The number never leaves this file: what is sent is the
// name of the test card that it stands for.
import { el, find } from "./page.js";
import { CardFault } from "./card.js";
import { call } from "./call.js";
import { clear, fault } from "./fields.js";
import { freshKey } from "./gifts.js";

// Numbers are those of the processor's documentation; names are the simulator's.
const cards = {
  4242424242424242: "visa",
  5555555555554444: "visa",
  4000000000000002: "chargeDeclined",
  4000000000009995: "chargeDeclinedInsufficientFunds",
  4000000000000069: "chargeDeclinedExpiredCard",
  4000000000000127: "chargeDeclinedIncorrectCvc",
  4000000000000119: "chargeDeclinedProcessingError",
  4000002500003155: "authenticationRequired",
  4000000000003184: "authenticationRequired",
  4000008260003178: "authenticationRequiredChargeDeclinedInsufficientFunds",
  4000000000000259: "createDispute",
};

const shown = [
  ["4242 4242 4242 4242", "is paid"],
  ["4000 0000 0000 0002", "is declined"],
  ["4000 0025 0000 3155", "asks for your bank's confirmation"],
];

export function mount(root) {
  // Two forms of one page may each have a card field: IDs begin with the root's.
  const box = (name, label, attributes) =>
    el("div", { class: "field" }, el("label", { for: root.id + name }, label),
      el("input", { id: root.id + name, inputmode: "numeric", autocomplete: "off", "aria-required": "true", ...attributes }));
  const number = box("-number", "Card number", { maxlength: 23 });
  const expiry = box("-expiry", "Expires (MM/YY)", { maxlength: 7, placeholder: "12/34" });
  const code = box("-code", "Security code", { maxlength: 4, placeholder: "123" });
  const input = (field) => find("input", field);
  const fill = (text) => {
    input(number).value = text;
    input(expiry).value = "12/34";
    input(code).value = "123";
    [number, expiry, code].map(input).forEach(clear);
    input(number).focus();
  };
  root.replaceChildren(
    el("p", { class: "note" }, "This is a demonstration: no money moves. Never enter a real card here."),
    number,
    el("div", { class: "pair" }, expiry, code),
    el("details", { class: "test-cards" }, el("summary", {}, "Test cards"),
      el("ul", {}, ...shown.map(([text, does]) =>
        el("li", {}, el("button", { type: "button", class: "link", click: () => fill(text) }, text), " " + does)))),
  );
  root.addEventListener("input", (e) => clear(e.target));

  const digits = () => input(number).value.replace(/[\s-]/g, "");
  return {
    update() {},
    async check() {
      const [, month, year] = /^(\d{1,2})\s*\/?\s*(?:20)?(\d\d)$/.exec(input(expiry).value.trim()) || [];
      const wrong = [
        [number, !cards[digits()] && (digits() ? "This is no test card. Choose one of those below." : "Enter a card number.")],
        [expiry, (!month || month < 1 || month > 12 || new Date(2000 + Number(year), month) < new Date()) && "Enter a month and year to come, such as 12/34."],
        [code, !/^\d{3,4}$/.test(input(code).value.trim()) && "Enter the three or four digits."],
      ].filter(([, text]) => text);
      wrong.forEach(([field, text]) => fault(input(field), text));
      if (wrong.length) throw new CardFault(wrong[0][1], true);
    },
    async token() {
      // A token of its own for each try, as the processor's are.
      return { confirmation_token: "ctoken_card_" + cards[digits()] + "_" + freshKey().slice(0, 16).replace(/[_-]/g, "0") };
    },
  };
}

// confirm is the bank's dialog of the demonstration.
export const confirm = (action, gift) =>
  new Promise((resolve) => {
    const answer = async (outcome) => {
      for (const b of dialog.querySelectorAll("button")) b.disabled = true;
      const said = outcome && (await call("POST", "/v1/demo/authenticate", { token: gift.token, body: { donation_id: gift.id, outcome } }));
      dialog.close();
      dialog.remove();
      resolve(Boolean(said?.ok));
    };
    const dialog = el("dialog", { class: "bank", "aria-labelledby": "bank-title", cancel: (e) => { e.preventDefault(); answer(""); } },
      el("h2", { id: "bank-title" }, "Your bank"),
      el("p", {}, "This is where your bank would ask whether it is really you. It is part of the demonstration."),
      el("div", { class: "actions" },
        el("button", { type: "button", autofocus: true, click: () => answer("succeed") }, "Confirm the payment"),
        el("button", { type: "button", class: "plain", click: () => answer("fail") }, "Refuse it")));
    document.body.append(dialog);
    dialog.showModal();
  });
