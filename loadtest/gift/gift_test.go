package gift

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"spillway/campaigns"
	"spillway/ingest"
)

func newRun(t testing.TB, name string) *Run {
	t.Helper()
	r, err := NewRun(name, "agdq 2017.csv.gz", [32]byte{1, 2, 3})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func refs() *rapid.Generator[Ref] {
	return rapid.Custom(func(t *rapid.T) Ref {
		return Ref{
			Kind:    Kind(rapid.IntRange(int(Row), int(Refused)).Draw(t, "kind")),
			Number:  rapid.Int64Range(1, 1<<40).Draw(t, "number"),
			Copy:    uint16(rapid.IntRange(0, 9).Draw(t, "copy")),
			Variant: uint8(rapid.IntRange(0, 3).Draw(t, "variant")),
		}
	})
}

func TestKey_IsWithinTheContractAndUniquePerRef(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringMatching(`[A-Za-z0-9._-]{1,64}`).Draw(t, "run")
		r, err := NewRun(name, rapid.String().Draw(t, "source"), [32]byte{9})
		if err != nil {
			t.Fatal(err)
		}
		a, b := refs().Draw(t, "a"), refs().Draw(t, "b")
		key := r.AppendKey(nil, a)
		if len(key) < ingest.KeyBytesMin || len(key) > ingest.KeyBytesMax {
			t.Fatalf("key of %d bytes: %s", len(key), key)
		}
		for _, c := range key {
			if c <= ' ' || c > '~' || c == '"' || c == ',' {
				t.Fatalf("key holds %q: %s", c, key)
			}
		}
		if same := string(r.AppendKey(nil, b)) == string(key); same != (a.Key() == b.Key()) {
			t.Fatalf("%v and %v: keys equal is %v", a, b, same)
		}
		if (r.ID(a) == r.ID(b)) != (a.Key() == b.Key()) {
			t.Fatalf("%v and %v: ids disagree with keys", a, b)
		}
	})
}

func TestRun_NamesAreChecked(t *testing.T) {
	for _, name := range []string{"", "two words", "é", `a"b`, strings.Repeat("x", RunBytesMax+1)} {
		if _, err := NewRun(name, "f", [32]byte{}); err == nil {
			t.Errorf("%q was taken", name)
		}
	}
}

func TestSlug_IsValidAndUniquePerName(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r, err := NewRun(rapid.StringMatching(`[A-Za-z0-9._-]{1,64}`).Draw(t, "run"), "f", [32]byte{9})
		if err != nil {
			t.Fatal(err)
		}
		names := rapid.OneOf(rapid.StringMatching(`[aA_.-]{0,3}`), rapid.StringN(0, 90, 90), rapid.StringMatching(`[a-z]{36,60}`))
		a, b := names.Draw(t, "a"), names.Draw(t, "b")
		slug := r.Slug(a)
		if !campaigns.ValidSlug(slug) || !strings.HasPrefix(slug, r.SlugPrefix()) {
			t.Fatalf("slug of %q is %q, prefix %q", a, slug, r.SlugPrefix())
		}
		if (slug == r.Slug(b)) != (a == b) {
			t.Fatalf("%q and %q share %q", a, b, slug)
		}
	})
}

func TestSlugPrefix_TellsRunsApart(t *testing.T) {
	seen := map[string]string{}
	for _, name := range []string{"day", "Day", "day-", "day.", strings.Repeat("d", 16), strings.Repeat("d", 17)} {
		for _, hash := range [][32]byte{{1}, {2}} {
			r, err := NewRun(name, "f", hash)
			if err != nil {
				t.Fatal(err)
			}
			if other, ok := seen[r.SlugPrefix()]; ok {
				t.Errorf("%q and %q share %q", name, other, r.SlugPrefix())
			}
			seen[r.SlugPrefix()] = name
		}
	}
}

func TestMake_VariantsAreTheSameDonationUnlessTheLinesDiffer(t *testing.T) {
	r := newRun(t, "variants")
	ref := Ref{Kind: Basket, Number: 3}
	lines := []ingest.Line{{Campaign: "a", AmountMinor: 5}, {Campaign: "b", AmountMinor: 7}}
	turned := []ingest.Line{lines[1], lines[0]}
	first := r.Make(ref, "USD", lines)
	ref.Variant = 1
	again, other := r.Make(ref, "USD", turned), r.Make(ref, "USD", lines[:1])
	if first.Donation.Fingerprint() != again.Donation.Fingerprint() || first.ID != again.ID {
		t.Error("another variant with the same lines became another donation")
	}
	if first.Donation.Payment.ConfirmationToken == again.Donation.Payment.ConfirmationToken {
		t.Error("another variant did not mint another confirmation token")
	}
	if first.Donation.Fingerprint() == other.Donation.Fingerprint() {
		t.Error("other lines kept the fingerprint")
	}
}

// TestAppendJSON_SaysWhatTheGiftHolds reads the body back with the standard
// library and compares every field after trimming.
func TestAppendJSON_SaysWhatTheGiftHolds(t *testing.T) {
	r := newRun(t, "bodies")
	type body struct {
		Currency string
		Lines    []struct {
			Campaign    string
			AmountMinor int64 `json:"amount_minor"`
		}
		FeeCoverMinor int64 `json:"fee_cover_minor"`
		Donor         struct {
			Name, Email string
			Anonymous   bool
			HideAmount  bool `json:"hide_amount"`
		}
		Message    string
		Dedication struct{ Kind, Name string }
		Payment    struct {
			ConfirmationToken string `json:"confirmation_token"`
			ExpiresAt         string `json:"expires_at"`
		}
	}
	fees, padded, named, dedicated, hinted := 0, 0, 0, 0, 0
	for n := int64(1); n <= 2000; n++ {
		g := r.Make(Ref{Kind: Row, Number: n}, "USD", []ingest.Line{{Campaign: "c-1", AmountMinor: n * 31}})
		text := g.AppendJSON(nil)
		if !utf8.Valid(text) || len(text) > 2<<10 {
			t.Fatalf("row %d: body of %d bytes: %s", n, len(text), text)
		}
		var b body
		if err := json.Unmarshal(text, &b); err != nil {
			t.Fatalf("row %d: %v: %s", n, err, text)
		}
		d := &g.Donation
		p := d.Personal
		if b.Currency != "USD" || len(b.Lines) != 1 || b.Lines[0].Campaign != "c-1" || b.Lines[0].AmountMinor != n*31 ||
			b.FeeCoverMinor != d.FeeCoverMinor || strings.TrimSpace(b.Donor.Name) != p.Name || b.Donor.Email != p.Email ||
			b.Donor.Anonymous != d.Anonymous || b.Donor.HideAmount != d.HideAmount || b.Message != p.Message ||
			b.Dedication.Kind != p.DedicationKind.String() || b.Dedication.Name != p.DedicationName ||
			b.Payment.ConfirmationToken != d.Payment.ConfirmationToken || (b.Payment.ExpiresAt != "") != !d.Payment.ExpiresAt.IsZero() {
			t.Fatalf("row %d: %s is not %+v", n, text, *d)
		}
		count := func(n *int, yes bool) {
			if yes {
				*n++
			}
		}
		count(&fees, d.FeeCoverMinor > 0)
		count(&padded, b.Donor.Name != p.Name)
		count(&named, p.Name != "")
		count(&dedicated, p.DedicationName != "")
		count(&hinted, !d.Payment.ExpiresAt.IsZero())
	}
	if fees == 0 || padded == 0 || named == 0 || named == 2000 || dedicated == 0 || hinted == 0 {
		t.Errorf("2000 gifts do not vary: fees %d padded %d named %d dedicated %d hinted %d", fees, padded, named, dedicated, hinted)
	}
}

func TestMake_AmountNeverPassesTheContract(t *testing.T) {
	r := newRun(t, "amounts")
	for n := int64(1); n < 200; n++ {
		g := r.Make(Ref{Kind: Row, Number: n}, "USD", []ingest.Line{{Campaign: "c", AmountMinor: ingest.AmountMinorMax - n%40}})
		if got := g.AmountMinor(); got > ingest.AmountMinorMax {
			t.Fatalf("row %d: %d", n, got)
		}
	}
}

func BenchmarkMakeAndAppendJSON(b *testing.B) {
	r := newRun(b, "bench")
	var body []byte
	b.ReportAllocs()
	for n := int64(1); b.Loop(); n++ {
		g := r.Make(Ref{Kind: Row, Number: n}, "USD", []ingest.Line{{Campaign: "c-1", AmountMinor: 500}})
		body = g.AppendJSON(body[:0])
	}
}
