// The card field: Stripe's where a publishable key is set, else the demonstration's.
import { page } from "./page.js";

export const simulated = page.processor?.kind !== "stripe";

const part = () => (simulated ? import("./card-demo.js") : import("./card-stripe.js"));

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
