// Package stripesim is a stand-in for Stripe's HTTP API that has state: payment
// intents, confirmation tokens, charges, refunds, disputes, balance transactions,
// payouts, events and signed webhooks, with Stripe's limits, its idempotency and,
// on request, every way in which it is known to let a client down.
//
// The one invariant: what was answered, or told by a webhook, is in the log file
// before the first byte of it leaves, and the state is nothing but the sum of the
// log: kill -9 at any moment loses nothing that anybody was told, and a charge that
// nobody was told of may be there, as it may be at Stripe.
//
// Every fault, latency and decline of a call that changes something is drawn from a
// hash of the seed and its idempotency key, not from a sequence: the same calls meet
// the same fate in any order and on any number of connections, and a repeat that is
// answered from memory draws anew whether that answer arrives. Storms of 429, calls
// without a key and the latency of reads go by the number of the call.
//
// Amounts are int64 in the currency's smallest unit as Stripe defines it. Rates of
// faults are floats; no amount ever is.
//
// Goroutines: Run starts the HTTP server, one clockwork (what happens later by
// itself: disputes, refunds that settle, donors who authenticate, payouts) and the
// senders of webhooks; Run ends when all of them have.
package stripesim
