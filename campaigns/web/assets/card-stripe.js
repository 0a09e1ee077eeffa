// Stripe's Payment Element, mounted before there is a payment intent ("deferred"), so
// that card numbers go from the donor's browser to Stripe alone.
// docs.stripe.com/payments/finalize-payments-on-the-server, read 2026-11.
import { el, page } from "./page.js";
import { CardFault } from "./card.js";

// Stripe asks for its script to come from its own address, always the newest.
const source = "https://js.stripe.com/v3/";

let loading;

// stripe loads Stripe.js once, when the first card field opens.
function stripe() {
  loading ||= new Promise((resolve, reject) => {
    document.head.append(el("script", {
      src: source,
      load: () => resolve(window.Stripe(page.processor.publishable_key)),
      error: () => {
        loading = null; // the next try loads again
        reject(new CardFault("The card form could not be loaded from Stripe. Check your connection and try again."));
      },
    }));
  });
  return loading;
}

export async function mount(root, amount, currency) {
  const s = await stripe();
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const elements = s.elements({
    mode: "payment", amount, currency: currency.toLowerCase(), locale: document.documentElement.lang || "auto",
    appearance: { theme: dark ? "night" : "stripe", variables: { colorPrimary: dark ? "#5fd0bf" : "#0b6b61", borderRadius: "8px" } },
  });
  const box = el("div", {});
  root.replaceChildren(box);
  const element = elements.create("payment");
  await new Promise((resolve, reject) => {
    element.on("ready", resolve);
    element.on("loaderror", (e) => reject(new CardFault(e.error?.message || "The card form could not be opened.")));
    element.mount(box);
  });
  return {
    update: (minor) => elements.update({ amount: minor }),
    async check() {
      const { error } = await elements.submit();
      if (error) throw new CardFault(error.message, error.type === "validation_error");
    },
    async token(donor = {}) {
      const details = {};
      if (donor.name) details.name = donor.name;
      if (donor.email) details.email = donor.email;
      const { error, confirmationToken } = await s.createConfirmationToken({
        elements, params: { payment_method_data: { billing_details: details } },
      });
      if (error) throw new CardFault(error.message);
      const payment = { confirmation_token: confirmationToken.id };
      if (confirmationToken.expires_at) payment.expires_at = new Date(confirmationToken.expires_at * 1000).toISOString();
      return payment;
    },
  };
}

export async function confirm(action) {
  const { error } = await (await stripe()).handleNextAction({ clientSecret: action.client_secret });
  return !error;
}
