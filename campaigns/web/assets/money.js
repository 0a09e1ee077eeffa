// Amounts are whole numbers of minor units (cents). The contract's largest has eight
// digits, so every product here is far below 2^53 and exact.
import { page } from "./page.js";

// The contract's largest amount, in minor units.
export const amountMax = 99999999;

const formats = new Map();

function format(currency, digits) {
  const name = currency + digits;
  let f = formats.get(name);
  if (!f) {
    f = new Intl.NumberFormat(document.documentElement.lang || undefined, {
      style: "currency", currency, minimumFractionDigits: digits, maximumFractionDigits: digits,
    });
    formats.set(name, f);
  }
  return f;
}

// exponent is how many decimal digits the currency's minor unit has, as ledger/money has
// it. Browsers do not know: Chromium 156 says 0 for HUF, whose minor unit has two.
export function exponent(currency) {
  if (page.campaign?.currency === currency) return page.campaign.exponent;
  return currency === "JPY" ? 0 : 2;
}

// money writes an amount in full, "$50.00"; whole leaves out digits that are zeros.
export function money(minor, currency, whole) {
  const scale = 10 ** exponent(currency);
  return format(currency, whole && minor % scale === 0 ? 0 : exponent(currency)).format(minor / scale);
}

// plain writes an amount as it is typed, "50.00" or "50".
export function plain(minor, currency) {
  const digits = exponent(currency);
  const scale = 10 ** digits;
  return minor % scale === 0 ? String(minor / scale) : (minor / scale).toFixed(digits);
}

// read understands what people type: "50", "12.5", "12,50", "1,234.00", "1 234,00". It
// returns minor units, NaN for anything else. One or two digits behind the last separator
// are decimals, three behind a comma are thousands. Nothing is guessed: "1.500" may be
// fifteen hundred or one and a half, and nobody begins thousands with a zero; hint says
// how else to write it.
export function read(text, currency) {
  const digits = exponent(currency);
  const t = bare(text);
  const [, whole, group, , decimal, part = ""] = /^(\d+|[1-9]\d{0,2}(?:([.,])\d{3}(?:\2\d{3})*)?)(([.,])(\d{1,2}))?$/.exec(t) || [];
  if (whole === undefined || part.length > digits || (group && group === decimal) || (digits && ambiguous.test(t))) return NaN;
  const minor = Number(whole.replace(/[.,]/g, "") + part.padEnd(digits, "0"));
  return minor <= amountMax * 10 ? minor : NaN;
}

const bare = (text) => text.replace(/[\s'’]|^\p{Sc}|\p{Sc}$/gu, "");
const ambiguous = /^\d{1,3}\.\d{3}$/;

// hint says how to write what read refused because it may mean two amounts, "" when that
// is not why: for "0.500" it is "Write 0.50 or 500."
export function hint(text, currency) {
  const [, whole, part] = /^(\d+)[.,](\d{3})$/.exec(bare(text)) || [];
  if (!whole || !Number.isNaN(read(text, currency))) return "";
  const digits = exponent(currency);
  const small = digits ? `${Number(whole)}.${part.slice(0, digits)} or ` : "";
  return `Write ${small}${Number(whole + part)}.`;
}

// cover is the least amount that, added to sum, leaves sum when the processor has taken
// its fee of the whole:
//
//   fee(x) = floor((x * basis_points + 5000) / 10000) + fixed_minor
//   cover  = min { c >= 0 : (sum + c) - fee(sum + c) >= sum }
//
// The rates are the page's data, "fee", as the installation was told them. x - fee(x)
// never falls when x rises, so the least one is found beside the real solution.
export function cover(sum, fee) {
  const taken = (x) => Math.floor((x * fee.basis_points + 5000) / 10000) + fee.fixed_minor;
  let total = Math.floor(((sum + fee.fixed_minor) * 10000) / (10000 - fee.basis_points));
  while (total - taken(total) < sum) total++;
  while (total > sum && total - 1 - taken(total - 1) >= sum) total--;
  return total - sum;
}

// presets are amounts to choose from, within the bounds of the campaign.
export function presets(campaign) {
  const unit = 10 ** campaign.exponent * ({ JPY: 100, HUF: 400, CZK: 20, INR: 20, MXN: 20, THB: 20, DKK: 10, NOK: 10, SEK: 10 }[campaign.currency] || 1);
  const inside = (m) => m >= (campaign.min_minor || 1) && m <= (campaign.max_minor || amountMax);
  const usual = [25, 50, 100, 250].map((n) => n * unit).filter(inside);
  return usual.length > 1 ? usual : [1, 2, 5, 10].map((n) => n * (campaign.min_minor || unit)).filter(inside);
}
