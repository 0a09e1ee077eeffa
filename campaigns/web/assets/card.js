// The card field: Stripe's where a publishable key is set, the demonstration's where a
// simulator charges.
import { page } from "./page.js";

export const simulated = page.processor?.kind === "simulator";

async function part() {
  if (simulated) return import("./card-demo.js");
  if (page.processor?.kind === "stripe") return import("./card-stripe.js");
  throw new CardFault("Cards are not taken at the moment.");
}

// CardFault is a card that cannot be used as it was entered. Where shown is true its field
// says so already.
export class CardFault extends Error {
  constructor(text, shown) {
    super(text);
    this.shown = shown;
  }
}

// mount opens the field in root. What it resolves to:
//   update(minor)     the amount is another one
//   check()           throws CardFault unless the card is complete; first thing after the tap
//   token(donor)      the payment for the API: {confirmation_token, expires_at?}
export const mount = async (root, amount, currency) => (await part()).mount(root, amount, currency);

// confirm lets the donor's bank ask the donor. It resolves when that is over, whatever
// came of it: the donation's state says.
export const confirm = async (action, gift) => (await part()).confirm(action, gift);
