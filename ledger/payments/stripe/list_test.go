package stripe

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"spillway/ledger/payments"
)

var since, until = time.Unix(1700000000, 0), time.Unix(1700003600, 0)

// TestLists_AreReadPageByPage walks each list and looks at what was asked.
func TestLists_AreReadPageByPage(t *testing.T) {
	now := time.Unix(1700009999, 0).UTC()
	var got []string
	client := func(t *testing.T, path string, want url.Values, rows ...string) *Client {
		s := newStandIn(t, func(_ int, a asked, w http.ResponseWriter) {
			for k := range want {
				if a.query.Get(k) != want.Get(k) {
					t.Errorf("%s: %q, want %q", k, a.query.Get(k), want.Get(k))
				}
			}
			if a.method != "GET" || a.path != path || a.query.Get("limit") != "100" || a.header.Get("Idempotency-Key") != "" {
				t.Errorf("asked %s %s %v", a.method, a.path, a.query)
			}
			if a.query.Get("starting_after") == "" {
				say(w, 200, listJSON(true, rows...))
				return
			}
			say(w, 200, listJSON(false))
		})
		return s.client(t, func(c *Config) { c.Now = func() time.Time { return now } })
	}
	window := url.Values{"created[gte]": {"1700000000"}, "created[lt]": {"1700003600"}}
	with := func(k, v string) url.Values {
		all := url.Values{k: {v}}
		for k := range window {
			all[k] = window[k]
		}
		return all
	}
	check := func(t *testing.T, want ...string) {
		t.Helper()
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("got %v, want %v", got, want)
		}
		got = nil
	}
	foreign := `{"id":"pi_9","status":"succeeded","amount":1,"amount_received":1,"currency":"usd","metadata":{}}`

	t.Run("intents", func(t *testing.T) {
		c := client(t, "/v1/payment_intents", with("expand[0]", "data.latest_charge.balance_transaction"),
			intentJSON("succeeded", chargeJSON), intentJSON("processing"), foreign, intentJSON("levitating"))
		all(t, c.Intents, func(f payments.Fact) {
			if f.Donation != donationID || f.Source != payments.FromSweep || f.Intent.AttemptNo != 0 {
				t.Errorf("%+v", f)
			}
			got = append(got, words(f.Intent.Status, f.At.Unix()))
		})
		check(t, "succeeded 1700000001", "processing 1700009999") // a capture when it was, the rest as of now
	})
	t.Run("refunds", func(t *testing.T) {
		c := client(t, "/v1/refunds", window, fmt.Sprintf(refundObject, "succeeded"), `{"id":"re_2","amount":5,"currency":"eur","status":"pending","charge":"ch_2","created":1700000051}`)
		all(t, c.Refunds, func(f payments.Fact) {
			got = append(got, words(f.Refund.ID, f.Refund.AmountMinor, f.Donation == donationID, f.At.Unix()))
		})
		check(t, "re_1 3000 true 1700000050", "re_2 5 false 1700000051")
	})
	t.Run("disputes", func(t *testing.T) {
		c := client(t, "/v1/disputes", window, fmt.Sprintf(disputeObject, "needs_response", ""), fmt.Sprintf(disputeObject, "warning_closed", ""))
		all(t, c.Disputes, func(f payments.Fact) { got = append(got, words(f.Dispute.Status, f.Dispute.Charge)) })
		check(t, "open ch_1")
	})
	t.Run("events", func(t *testing.T) {
		row := eventJSON("payment_intent.succeeded", intentJSON("succeeded"))
		c := client(t, "/v1/events", window, row, eventJSON("plan.created", "{}"), eventJSON("charge.dispute.closed", "5"))
		all(t, c.Events, func(e payments.Event) {
			for _, f := range e.Facts {
				if f.Source != payments.FromSweep || f.EventID != "evt_1" {
					t.Errorf("%+v", f)
				}
			}
			if again, err := ParseEvent(e.Body); err != nil || again.ID != e.ID {
				t.Errorf("its body is not it: %v", err)
			}
			got = append(got, words(e.Type, len(e.Facts)))
		})
		check(t, "payment_intent.succeeded 1", "plan.created 0")
	})
	t.Run("movements", func(t *testing.T) {
		row := `{"id":"txn_1","object":"balance_transaction","type":"charge","reporting_category":"charge","source":"ch_1","amount":5000,"fee":175,"net":4825,"currency":"usd","created":1700000001,"available_on":1700100000}`
		c := client(t, "/v1/balance_transactions", window, row)
		all(t, c.BalanceTransactions, func(m payments.Movement) {
			got = append(got, words(m.ID, m.Type, m.Source, m.AmountMinor, m.FeeMinor, m.NetMinor, m.Currency, m.CreatedAt.Unix(), m.AvailableAt.Unix()))
		})
		check(t, "txn_1 charge ch_1 5000 175 4825 USD 1700000001 1700100000")
		c = client(t, "/v1/balance_transactions", url.Values{"payout": {"po_1"}, "created[gte]": {""}}, row)
		all(t, func(ctx ctx, _, _ time.Time, cursor string) (payments.Page[payments.Movement], error) {
			return c.PayoutTransactions(ctx, "po_1", cursor)
		}, func(m payments.Movement) { got = append(got, m.ID) })
		check(t, "txn_1")
	})
	t.Run("payouts", func(t *testing.T) {
		c := client(t, "/v1/payouts", window, fmt.Sprintf(payoutObject, "paid"))
		all(t, c.Payouts, func(p payments.PayoutSeen) { got = append(got, words(p.ID, p.AmountMinor, p.Status)) })
		check(t, "po_1 480000 paid")
	})
	t.Run("one intent", func(t *testing.T) {
		s := newStandIn(t, func(_ int, a asked, w http.ResponseWriter) { say(w, 200, intentJSON("succeeded", chargeJSON)) })
		f, err := s.client(t).Intent(t.Context(), "pi_1")
		if err != nil || f.Intent.Fee == nil || *f.Intent.Fee != feeSeen || f.Donation != donationID {
			t.Errorf("%+v, %v", f, err)
		}
		if _, err := s.client(t).Intent(t.Context(), "pi_2"); err == nil {
			t.Error("another intent than was asked for")
		}
	})
}

type ctx = context.Context

// all reads every page.
func all[T any](t *testing.T, list func(ctx ctx, since, until time.Time, cursor string) (payments.Page[T], error), visit func(T)) {
	t.Helper()
	cursor := ""
	for pages := 1; ; pages++ {
		page, err := list(t.Context(), since, until, cursor)
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range page.Rows {
			visit(row)
		}
		if cursor = page.Next; cursor == "" {
			if pages != 2 {
				t.Errorf("%d pages", pages)
			}
			return
		}
	}
}

// words joins values by blanks.
func words(values ...any) string { return strings.TrimSpace(fmt.Sprintln(values...)) }
