package payments

import (
	"testing"

	"spillway/ledger/journal"
)

// TestNext_Entries are both sides of every entry, as the chart of accounts in
// ledger/DESIGN.md has them.
func TestNext_Entries(t *testing.T) {
	captured := seen(1, IntentSucceeded, 2)
	for _, c := range []struct {
		name  string
		facts []Fact
		want  []string // the last fact's
	}{
		{"capture", []Fact{captured},
			[]string{"capture capture:ch_1 processor:stripe=USD10350 gifts:river-school=USD-5000 gifts:food-bank=USD-3333 gifts:shelter=USD-1667 fees:covered=USD-350"}},
		{"capture with its fee, in the currency of the account", []Fact{seen(1, IntentSucceeded, 2, func(i *IntentSeen) {
			i.Fee = &FeeSeen{BalanceTransaction: "txn_1", FeeMinor: 312, Currency: "EUR"}
		})},
			[]string{
				"capture capture:ch_1 processor:stripe=USD10350 gifts:river-school=USD-5000 gifts:food-bank=USD-3333 gifts:shelter=USD-1667 fees:covered=USD-350",
				"processing_fee fee:txn_1 fees:processing=EUR312 processor:stripe=EUR-312",
			}},
		{"capture of less", []Fact{seen(1, IntentSucceeded, 2, func(i *IntentSeen) { i.AmountMinor = 10_000 })},
			[]string{"capture capture:ch_1 processor:stripe=USD10000 gifts:river-school=USD-5000 gifts:food-bank=USD-3333 gifts:shelter=USD-1667 fees:covered=USD-350 suspense:stripe=USD350"}},
		{"second charge", []Fact{captured, seen(0, IntentSucceeded, 3, func(i *IntentSeen) { i.ID, i.Charge = "pi_2", "ch_2" })},
			[]string{"capture capture:ch_2 processor:stripe=USD10350 suspense:stripe=USD-10350"}},
		{"refund of a second charge", []Fact{captured, seen(0, IntentSucceeded, 3, func(i *IntentSeen) { i.Charge = "ch_2" }), func() Fact {
			f := refundSeen("re_1", 10_350, RefundSucceeded, 101)
			f.Refund.Charge = "ch_2"
			return f
		}()},
			[]string{"refund refund:re_1 suspense:stripe=USD10350 processor:stripe=USD-10350"}},
		{"fee before the capture", []Fact{feeSeen("ch_1", 330, "USD")},
			[]string{"processing_fee fee:txn_ch_1 fees:processing=USD330 processor:stripe=USD-330"}},
		{"refund by lines, the rest of the covered fee", []Fact{captured, refundSeen("re_1", 5175, RefundPending, 101, 5000, 0, 0)},
			[]string{"refund refund:re_1 gifts:river-school=USD5000 fees:covered=USD175 processor:stripe=USD-5175"}},
		{"refund made elsewhere, pro rata", []Fact{captured, refundSeen("re_1", 1035, RefundSucceeded, 101)},
			[]string{"refund refund:re_1 gifts:river-school=USD500 gifts:food-bank=USD333 gifts:shelter=USD167 fees:covered=USD35 processor:stripe=USD-1035"}},
		{"refund that failed", []Fact{captured, refundSeen("re_1", 5000, RefundSucceeded, 101, 5000, 0, 0), refundSeen("re_1", 5000, RefundFailed, 150)},
			[]string{"refund_failed refund_failed:re_1 gifts:river-school=USD-5000 processor:stripe=USD5000"}},
		{"refund whose split is learnt later", []Fact{captured, refundSeen("re_1", 1035, RefundSucceeded, 101), refundSeen("re_1", 1035, RefundSucceeded, 101, 1035, 0, 0)},
			[]string{"correction refund_split:re_1 gifts:river-school=USD535 gifts:food-bank=USD-333 gifts:shelter=USD-167 fees:covered=USD-35"}},
		{"refund before the capture", []Fact{refundSeen("re_1", 10_350, RefundSucceeded, 101), captured},
			[]string{
				"capture capture:ch_1 processor:stripe=USD10350 gifts:river-school=USD-5000 gifts:food-bank=USD-3333 gifts:shelter=USD-1667 fees:covered=USD-350",
				"refund refund:re_1 gifts:river-school=USD5000 gifts:food-bank=USD3333 gifts:shelter=USD1667 fees:covered=USD350 processor:stripe=USD-10350",
			}},
		{"dispute opened, with its fee", []Fact{captured, disputeSeen("dp_1", 10_350, DisputeOpen, 201)},
			[]string{
				"dispute_opened dispute_opened:dp_1 disputes:held=USD10350 processor:stripe=USD-10350",
				"dispute_fee dispute_fee:dp_1 fees:dispute=USD1500 processor:stripe=USD-1500",
			}},
		{"dispute won, its fee given back", []Fact{captured, disputeSeen("dp_1", 10_350, DisputeOpen, 201), func() Fact {
			f := disputeSeen("dp_1", 10_350, DisputeWon, 300)
			f.Dispute.FeeReturnedMinor = 1500
			return f
		}()},
			[]string{
				"dispute_fee_returned dispute_fee_returned:dp_1 processor:stripe=USD1500 fees:dispute=USD-1500",
				"dispute_won dispute_won:dp_1 processor:stripe=USD10350 disputes:held=USD-10350",
			}},
		{"dispute lost", []Fact{captured, disputeSeen("dp_1", 1035, DisputeOpen, 201), disputeSeen("dp_1", 1035, DisputeLost, 300)},
			[]string{"dispute_lost dispute_lost:dp_1 gifts:river-school=USD500 gifts:food-bank=USD333 gifts:shelter=USD167 fees:covered=USD35 disputes:held=USD-1035"}},
		{"dispute lost after a refund: beyond the gift", []Fact{captured, refundSeen("re_1", 10_000, RefundSucceeded, 101), disputeSeen("dp_1", 10_350, DisputeOpen, 201), disputeSeen("dp_1", 10_350, DisputeLost, 300)},
			[]string{"dispute_lost dispute_lost:dp_1 gifts:river-school=USD169 gifts:food-bank=USD113 gifts:shelter=USD56 fees:covered=USD12 suspense:stripe=USD10000 disputes:held=USD-10350"}},
		{"dispute won after it was lost", []Fact{captured, disputeSeen("dp_1", 10_350, DisputeLost, 300), disputeSeen("dp_1", 10_350, DisputeWon, 400)},
			[]string{
				"dispute_reversed dispute_reversed:dp_1 gifts:river-school=USD-5000 gifts:food-bank=USD-3333 gifts:shelter=USD-1667 fees:covered=USD-350 disputes:held=USD10350",
				"dispute_won dispute_won:dp_1 processor:stripe=USD10350 disputes:held=USD-10350",
			}},
		{"dispute lost after it was won", []Fact{captured, disputeSeen("dp_1", 10_350, DisputeWon, 300), disputeSeen("dp_1", 10_350, DisputeLost, 400)},
			[]string{
				"dispute_reversed dispute_reversed:dp_1 disputes:held=USD10350 processor:stripe=USD-10350",
				"dispute_lost dispute_lost:dp_1 gifts:river-school=USD5000 gifts:food-bank=USD3333 gifts:shelter=USD1667 fees:covered=USD350 disputes:held=USD-10350",
			}},
	} {
		p := claimed(fresh(), after(1))
		var fx Effects
		for _, f := range c.facts {
			p, fx = Next(p, f)
		}
		var got []string
		for i := range fx.Entries {
			got = append(got, flat(&fx.Entries[i]))
		}
		if len(got) != len(c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
			continue
		}
		for i := range got {
			if got[i] != c.want[i] {
				t.Errorf("%s:\n%s, want\n%s", c.name, got[i], c.want[i])
			}
		}
	}
}

// TestNext_EntriesAreDatedByTheProcessor, however late they are heard of.
func TestNext_EntriesAreDatedByTheProcessor(t *testing.T) {
	p := then(claimed(fresh(), after(1)), disputeSeen("dp_1", 10_350, DisputeOpen, 205), refundSeen("re_1", 350, RefundSucceeded, 130))
	_, fx := Next(p, seen(0, IntentSucceeded, 40))
	got := map[journal.Kind]int64{}
	for _, e := range fx.Entries {
		got[e.Kind] = e.OccurredAt.Unix() - noon.Unix()
	}
	want := map[journal.Kind]int64{journal.Capture: 40, journal.RefundMade: 100, journal.DisputeOpened: 200, journal.DisputeFee: 200}
	for kind, seconds := range want {
		if got[kind] != seconds {
			t.Errorf("%s is dated %d s after noon, want %d", kind, got[kind], seconds)
		}
	}
}
