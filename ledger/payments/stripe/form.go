package stripe

import (
	"encoding/hex"
	"strconv"
	"strings"
	"time"

	"github.com/stripe/stripe-go/v76/form"

	"spillway/ledger/payments"
)

// campaignsBytesMax bounds the campaigns' names in an intent's metadata; Stripe
// takes 500 characters a value.
const campaignsBytesMax = 500

// Expanded so that the answer to a call holds the fee already.
const expandFee = "latest_charge.balance_transaction"

// uuid writes an ID as people and our other tables write it.
func uuid(id [16]byte) string {
	h := hex.EncodeToString(id[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// parseUUID is the inverse of uuid; ok is false for anything else.
func parseUUID(s string) (id [16]byte, ok bool) {
	if len(s) != 36 {
		return id, false
	}
	b, err := hex.DecodeString(s[:8] + s[9:13] + s[14:18] + s[19:23] + s[24:])
	if err != nil {
		return id, false
	}
	copy(id[:], b)
	if uuid(id) != s {
		return [16]byte{}, false
	}
	return id, true
}

// attemptKey is the idempotency key of an attempt's call.
func attemptKey(c *payments.Charge) string {
	return "spillway:" + uuid(c.Donation) + ":" + strconv.Itoa(c.AttemptNo)
}

// createMark begins the body of a call that creates an intent, and of no other.
const createMark = "amount="

// creates tells from a stored body which call it is of. The payment may have
// learnt its intent since the body was stored, by a webhook; the call stays what it was.
func creates(params []byte) bool { return strings.HasPrefix(string(params), createMark) }

// Params returns the exact body of the charge's call: create and confirm in one
// when c.Intent is "", else confirm again with another card. The same charge gives
// the same bytes. Nil when the processor has no unit for the amount; Charge
// refuses it then.
func (c *Client) Params(ch *payments.Charge) []byte {
	var f form.Values
	if ch.Intent != "" {
		f.Add("confirmation_token", ch.Token)
		f.Add("expand[0]", expandFee)
		return []byte(f.Encode())
	}
	units, err := toProcessor(ch.Currency, ch.AmountMinor)
	if err != nil {
		return nil
	}
	f.Add("amount", strconv.FormatInt(units, 10))
	f.Add("currency", strings.ToLower(string(ch.Currency)))
	f.Add("confirm", "true")
	f.Add("confirmation_token", ch.Token)
	// Every method that the account has and that needs no page of its own: a donor who
	// is sent elsewhere may never come back.
	f.Add("automatic_payment_methods[enabled]", "true")
	f.Add("automatic_payment_methods[allow_redirects]", "never")
	f.Add("expand[0]", expandFee)
	f.Add("metadata[attempt]", strconv.Itoa(ch.AttemptNo))
	f.Add("metadata[book]", bookOf(ch).String())
	if names := campaigns(ch.Campaigns); names != "" {
		f.Add("metadata[campaigns]", names)
	}
	f.Add("metadata[donation]", uuid(ch.Donation))
	return []byte(f.Encode())
}

// campaigns joins as many whole names as fit one value of metadata.
func campaigns(names []string) string {
	var b strings.Builder
	for i, name := range names {
		if b.Len()+1+len(name) > campaignsBytesMax {
			break
		}
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(name)
	}
	return b.String()
}

// refundForm is the body of a refund's call; it never changes for one refund.
func refundForm(d *payments.RefundDue) ([]byte, error) {
	units, err := toProcessor(d.Currency, d.AmountMinor)
	if err != nil {
		return nil, err
	}
	var f form.Values
	f.Add("amount", strconv.FormatInt(units, 10))
	if d.Charge != "" {
		f.Add("charge", d.Charge)
	} else {
		f.Add("payment_intent", d.Intent)
	}
	f.Add("metadata[donation]", uuid(d.Donation))
	f.Add("metadata[refund]", uuid(d.Refund))
	return []byte(f.Encode()), nil
}

// listForm is a list's query: rows created in [since, until), after cursor.
func listForm(since, until time.Time, cursor string, expand ...string) *form.Values {
	f := &form.Values{}
	f.Add("limit", strconv.Itoa(pageRows))
	if !since.IsZero() {
		f.Add("created[gte]", strconv.FormatInt(since.Unix(), 10))
	}
	if !until.IsZero() {
		f.Add("created[lt]", strconv.FormatInt(until.Unix(), 10))
	}
	if cursor != "" {
		f.Add("starting_after", cursor)
	}
	for i, e := range expand {
		f.Add("expand["+strconv.Itoa(i)+"]", e)
	}
	return f
}
