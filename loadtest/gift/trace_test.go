package gift

import (
	"regexp"
	"testing"

	"spillway/ingest"
)

// TestFindTraces_FindsWhatGiftsSay looks for the traces in the bodies of gifts, and in
// texts that are nobody's.
func TestFindTraces_FindsWhatGiftsSay(t *testing.T) {
	r, traces := newRun(t, "traces"), FindTraces()
	name, message, token := regexp.MustCompile(traces.Name), regexp.MustCompile(traces.Message), regexp.MustCompile(traces.Token)
	said, found := 0, 0
	for n := int64(1); n <= 500; n++ {
		g := r.Make(Ref{Kind: Row, Number: n}, "USD", []ingest.Line{{Campaign: "c-1", AmountMinor: 100}})
		body := g.AppendJSON(nil)
		p := &g.Donation.Personal
		if got := string(name.Find(body)); got != p.Name {
			t.Errorf("row %d: the name %q is found as %q", n, p.Name, got)
		}
		if got := string(token.Find(body)); got != g.Donation.Payment.ConfirmationToken {
			t.Errorf("row %d: the token %q is found as %q", n, g.Donation.Payment.ConfirmationToken, got)
		}
		if p.Message != "" {
			said++
			if message.Match(body) {
				found++
			}
		} else if message.Match(body) {
			t.Errorf("row %d says nothing, and something is found", n)
		}
	}
	if found < said*2/3 || found == 0 {
		t.Errorf("%d of %d messages found", found, said)
	}
	for _, text := range []string{"Ada is a name", "level=INFO msg=ready", "ctoken_card_visa", ""} {
		if name.MatchString(text) || message.MatchString(text) || token.MatchString(text) {
			t.Errorf("%q is taken for a gift's", text)
		}
	}
}
