package stripesim

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stripe/stripe-go/v76"
	"pgregory.net/rapid"
)

// TestLists_PagesAreTheWhole: whatever the page's size and direction, walking the
// pages shows every intent of the times asked for once, the newest first.
func TestLists_PagesAreTheWhole(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	s, err := New(Config{Seed: 7, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	var ids []string // newest first
	var created []int64
	for i := range 57 {
		if i%3 == 0 {
			now = now.Add(time.Second)
		}
		_, body := serve(s, "POST", "/v1/payment_intents", "amount=5000&currency=usd", "")
		var p struct {
			ID      string
			Created int64
		}
		if err := json.Unmarshal([]byte(body), &p); err != nil {
			t.Fatal(err)
		}
		ids = slices.Insert(ids, 0, p.ID)
		created = slices.Insert(created, 0, p.Created)
	}
	type page struct {
		Data []struct{ ID string }
		More bool `json:"has_more"`
	}
	get := func(t *rapid.T, query string) page {
		var p page
		if status, body := serve(s, "GET", "/v1/payment_intents?"+query, "", ""); status != 200 || json.Unmarshal([]byte(body), &p) != nil {
			t.Fatalf("%d %s", status, body)
		}
		return p
	}
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 100).Draw(t, "limit")
		from := rapid.Int64Range(created[len(created)-1]-2, created[0]+2).Draw(t, "from")
		to := rapid.Int64Range(from, created[0]+2).Draw(t, "to")
		times := fmt.Sprintf("limit=%d&created[gte]=%d&created[lt]=%d", limit, from, to)
		if rapid.Bool().Draw(t, "other bounds") {
			times = fmt.Sprintf("limit=%d&created[gt]=%d&created[lte]=%d", limit, from-1, to-1)
		}
		var want []string
		for i, id := range ids {
			if created[i] >= from && created[i] < to {
				want = append(want, id)
			}
		}
		var got []string
		for query := times; ; {
			p := get(t, query)
			if len(p.Data) > limit {
				t.Fatalf("%d rows, limit %d", len(p.Data), limit)
			}
			for _, d := range p.Data {
				got = append(got, d.ID)
			}
			if !p.More {
				break
			}
			query = times + "&starting_after=" + got[len(got)-1]
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%s: %d rows, want %d", times, len(got), len(want))
		}
		// And upwards, from the oldest.
		if len(want) == 0 {
			return
		}
		got = []string{want[len(want)-1]}
		for {
			p := get(t, times+"&ending_before="+got[0])
			var above []string
			for _, d := range p.Data {
				above = append(above, d.ID)
			}
			got = append(above, got...)
			if !p.More {
				break
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%s upwards: %d rows, want %d", times, len(got), len(want))
		}
	})
}

func TestSearch_IsBehind(t *testing.T) {
	r := start(t, Config{SearchLag: time.Minute})
	p, err := r.charge("d-1", 5000, "ctoken_x")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.charge("d-2", 5000, "ctoken_card_authenticationRequired"); err != nil {
		t.Fatal(err)
	}
	search := func(query string) (ids []string) {
		found := r.api.PaymentIntents.Search(&stripe.PaymentIntentSearchParams{SearchParams: stripe.SearchParams{Query: query}})
		for found.Next() {
			ids = append(ids, found.PaymentIntent().ID)
		}
		if found.Err() != nil {
			t.Error(found.Err())
		}
		return ids
	}
	if got := search("metadata['donation']:'d-1'"); len(got) != 0 {
		t.Errorf("at once: %v", got)
	}
	if err := r.server.Advance(2 * time.Minute); err != nil {
		t.Fatal(err)
	}
	for query, want := range map[string]int{
		"metadata['donation']:'d-1'": 1, `metadata["donation"]:"d-1"`: 1, "metadata['donation']:'d'": 0, "metadata['d-1']:'donation'": 0,
		"status:'succeeded'": 1, "status:'succeeded' AND metadata['donation']:'d-2'": 0, "status:'requires_action' AND metadata['donation']:'d-2'": 1,
	} {
		if got := search(query); len(got) != want {
			t.Errorf("%s: %v", query, got)
		}
	}
	if got := search("metadata['donation']:'d-1'"); len(got) != 1 || got[0] != p.ID {
		t.Errorf("later: %v", got)
	}
}

// TestSearch_Pages walks more than one page.
func TestSearch_Pages(t *testing.T) {
	r := start(t, Config{SearchLag: -1})
	for i := range 25 {
		if _, err := r.charge(fmt.Sprint(i), 5000, "ctoken_x"); err != nil {
			t.Fatal(err)
		}
	}
	found := r.api.PaymentIntents.Search(&stripe.PaymentIntentSearchParams{SearchParams: stripe.SearchParams{Query: "status:'succeeded'", Limit: stripe.Int64(10)}})
	seen := map[string]bool{}
	for found.Next() {
		seen[found.PaymentIntent().ID] = true
	}
	if found.Err() != nil || len(seen) != 25 {
		t.Errorf("%d, %v", len(seen), found.Err())
	}
}

func TestLists_ByOwnerAndKind(t *testing.T) {
	r := start(t, Config{})
	for i := range 3 {
		p, err := r.charge(fmt.Sprint(i), 5000, "ctoken_x")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.api.Refunds.New(&stripe.RefundParams{PaymentIntent: stripe.String(p.ID), Amount: stripe.Int64(100)}); err != nil {
			t.Fatal(err)
		}
		refunds := r.api.Refunds.List(&stripe.RefundListParams{Charge: stripe.String(p.LatestCharge.ID)})
		n := 0
		for refunds.Next() {
			n++
		}
		if refunds.Err() != nil || n != 1 {
			t.Errorf("%d refunds, %v", n, refunds.Err())
		}
		txns := r.api.BalanceTransactions.List(&stripe.BalanceTransactionListParams{Source: stripe.String(p.LatestCharge.ID)})
		if !txns.Next() || txns.BalanceTransaction().Type != stripe.BalanceTransactionTypeCharge || txns.Next() {
			t.Errorf("%+v, %v", txns.BalanceTransaction(), txns.Err())
		}
	}
	txns := r.api.BalanceTransactions.List(&stripe.BalanceTransactionListParams{Type: stripe.String("refund"), Currency: stripe.String("usd")})
	n := 0
	for txns.Next() {
		n++
	}
	if txns.Err() != nil || n != 3 {
		t.Errorf("%d, %v", n, txns.Err())
	}
	list := &stripe.PaymentIntentListParams{}
	list.AddExpand("data.latest_charge.balance_transaction")
	intents := r.api.PaymentIntents.List(list)
	if !intents.Next() || intents.PaymentIntent().LatestCharge.BalanceTransaction.Fee != 175 {
		t.Errorf("%+v, %v", intents.PaymentIntent(), intents.Err())
	}
}
