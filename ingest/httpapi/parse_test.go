package httpapi

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"spillway/ingest"
	"spillway/ledger"
	"spillway/ledger/money"
)

// wireDonation is the contract's body for a general encoder.
type wireDonation struct {
	Currency      string          `json:"currency"`
	Lines         []wireLine      `json:"lines"`
	FeeCoverMinor int64           `json:"fee_cover_minor"`
	Donor         *wireDonor      `json:"donor,omitempty"`
	Message       string          `json:"message"`
	Dedication    *wireDedication `json:"dedication,omitempty"`
	Payment       wirePayment     `json:"payment"`
}

type wireLine struct {
	Campaign    string `json:"campaign"`
	AmountMinor int64  `json:"amount_minor"`
}

type wireDonor struct {
	Name       string `json:"name"`
	Email      string `json:"email"`
	Anonymous  bool   `json:"anonymous"`
	HideAmount bool   `json:"hide_amount"`
}

type wireDedication struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
}

type wirePayment struct {
	ConfirmationToken string `json:"confirmation_token"`
	ExpiresAt         string `json:"expires_at,omitempty"`
}

// Whatever another encoder writes, whatever the order of members and the spaces,
// is read as it was meant; and nothing of the request before is left.
func TestParse_ReadsWhatAnEncoderWrites(t *testing.T) {
	p, d := newParser(), new(ingest.Donation)
	// No NUL: the contract refuses it, and that has its own case.
	text := rapid.Map(rapid.String(), func(s string) string { return strings.ReplaceAll(s, "\x00", "0") })
	kinds := map[string]ingest.DedicationKind{"in_honor": ingest.InHonor, "in_memory": ingest.InMemory, "for": ingest.UnknownDedication}
	rapid.Check(t, func(t *rapid.T) {
		w := wireDonation{
			Currency: rapid.SampledFrom([]string{"USD", "JPY", "usd", "", "☂"}).Draw(t, "currency"), FeeCoverMinor: drawInt(t, "fee"),
			Message: text.Draw(t, "message"), Payment: wirePayment{text.Draw(t, "token"), text.Draw(t, "expires")},
			Lines: []wireLine{},
		}
		want := ingest.Donation{Currency: money.Currency(w.Currency), FeeCoverMinor: w.FeeCoverMinor, Personal: ingest.Personal{Message: w.Message},
			Payment: ingest.Payment{ConfirmationToken: w.Payment.ConfirmationToken, ExpiresAtText: w.Payment.ExpiresAt}}
		for range rapid.IntRange(0, 5).Draw(t, "lines") {
			l := wireLine{text.Draw(t, "slug"), drawInt(t, "amount")}
			w.Lines, want.Lines = append(w.Lines, l), append(want.Lines, ingest.Line(l))
		}
		if rapid.Bool().Draw(t, "has donor") {
			w.Donor = &wireDonor{text.Draw(t, "name"), text.Draw(t, "e-mail"), rapid.Bool().Draw(t, "anonymous"), rapid.Bool().Draw(t, "hide")}
			want.Personal.Name, want.Personal.Email, want.Anonymous, want.HideAmount = w.Donor.Name, w.Donor.Email, w.Donor.Anonymous, w.Donor.HideAmount
		}
		if rapid.Bool().Draw(t, "has dedication") {
			w.Dedication = &wireDedication{rapid.SampledFrom([]string{"in_honor", "in_memory", "for"}).Draw(t, "kind"), text.Draw(t, "dedicated")}
			want.Personal.DedicationKind, want.Personal.DedicationName = kinds[w.Dedication.Kind], w.Dedication.Name
		}
		body := encode(t, w)
		if faults := p.parse(body, d); len(faults) > 0 {
			t.Fatalf("%s: %v", body, faults)
		}
		got := *d
		got.Lines = slices.Clone(d.Lines)
		if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b []ingest.Line) bool { return slices.Equal(a, b) })); diff != "" {
			t.Fatalf("%s (-want +got):\n%s", body, diff)
		}
	})
}

func drawInt(t *rapid.T, label string) int64 {
	return max(rapid.Int64().Draw(t, label), -1<<63+1)
}

// encode writes w with its members in a drawn order and in a drawn style.
func encode(t *rapid.T, w wireDonation) []byte {
	plain, err := json.Marshal(w)
	if err != nil {
		t.Fatal(err)
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(plain, &members); err != nil {
		t.Fatal(err)
	}
	names := make([]string, 0, len(members))
	for name := range members {
		names = append(names, name)
	}
	slices.Sort(names)
	var b bytes.Buffer
	for i, name := range rapid.Permutation(names).Draw(t, "order") {
		b.WriteString([]string{"{", ","}[min(i, 1)] + `"` + name + `":`)
		b.Write(members[name])
	}
	b.WriteByte('}')
	if rapid.Bool().Draw(t, "indented") {
		var out bytes.Buffer
		if err := json.Indent(&out, b.Bytes(), " ", "\t"); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	return b.Bytes()
}

// What the parser takes, a general decoder that refuses unknown members takes
// too: the parser is the stricter one. And nothing it returns is surprising.
func FuzzParse(f *testing.F) {
	f.Add([]byte(typicalBody))
	f.Add([]byte(`{"currency":1,"lines":[{"campaign":1,"amount_minor":1.5},7,{"x":1}],"message":"\u0000","payment":null}`))
	f.Add([]byte(`{"currency":"USD","currency":"EUR","a\/b~c":[[[[[[[[[[]]]]]]]]]]}`))
	f.Add([]byte(`{"curr\u0065ncy":"\ud83d\ude00","lines":[{"amount_minor":-9223372036854775807}]}`))
	f.Add([]byte("\ufeff{}"))
	f.Add([]byte(`{} {}`))
	p, d := newParser(), new(ingest.Donation)
	f.Fuzz(func(t *testing.T, body []byte) {
		if len(body) > bodyBytesMax {
			return
		}
		before := bytes.Clone(body)
		faults := p.parse(body, d)
		if !bytes.Equal(before, body) {
			t.Fatal("the body was changed")
		}
		for _, fault := range faults {
			if fault.Code == "" || fault.Detail == "" || !utf8.ValidString(fault.Pointer) || len(fault.Pointer) > 2*pointerBytesMax+64 {
				t.Fatalf("fault %+v", fault)
			}
		}
		if len(faults) > faultsMax {
			t.Fatalf("%d faults", len(faults))
		}
		if len(faults) > 0 {
			return
		}
		var w wireDonation
		dec := json.NewDecoder(bytes.NewReader(body))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&w); err != nil {
			t.Fatalf("taken, and no other decoder takes it: %v", err)
		}
		if w.FeeCoverMinor != d.FeeCoverMinor || w.Currency != string(d.Currency) || w.Message != d.Personal.Message || w.Payment.ConfirmationToken != d.Payment.ConfirmationToken ||
			len(d.Lines) != min(len(w.Lines), ingest.LinesMax+1) {
			t.Fatalf("read as %+v, meant %+v", d, w)
		}
		for i := range d.Lines {
			if ingest.Line(w.Lines[i]) != d.Lines[i] {
				t.Fatalf("line %d read as %+v, meant %+v", i, d.Lines[i], w.Lines[i])
			}
		}
		// What passes can be judged and told apart, whatever it holds.
		d.Validate(ledger.Live, time.Unix(0, 0).UTC(), nil)
		if a, b := d.Fingerprint(), d.Fingerprint(); a != b {
			t.Fatal("two fingerprints")
		}
	})
}

func TestParse_TypicalBodyDoesNotAllocate(t *testing.T) {
	p, d, body := newParser(), new(ingest.Donation), []byte(typicalBody)
	p.parse(body, d)
	if n := testing.AllocsPerRun(100, func() { p.parse(body, d) }); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

// A parser that is reused holds nothing of the donation before.
func TestParse_ForgetsTheOneBefore(t *testing.T) {
	p, d := newParser(), new(ingest.Donation)
	if faults := p.parse([]byte(typicalBody), d); len(faults) > 0 {
		t.Fatal(faults)
	}
	for _, broken := range []string{`{"lines":[{"campaign":"x"`, `{"message":"\u0041`, `[[[`, ``} {
		p.parse([]byte(broken), d)
	}
	if faults := p.parse([]byte(`{}`), d); len(faults) > 0 {
		t.Fatal(faults)
	}
	if len(d.Lines) != 0 || d.Personal != (ingest.Personal{}) || d.Payment != (ingest.Payment{}) || d.Anonymous || d.Currency != "" {
		t.Errorf("left over: %+v", d)
	}
}

func TestParse_FaultsAreBounded(t *testing.T) {
	p, d := newParser(), new(ingest.Donation)
	faults := p.parse([]byte(`{`+strings.Repeat(`"x":1,`, 5000)+`"y":1}`), d)
	if len(faults) != faultsMax {
		t.Errorf("%d faults, want %d", len(faults), faultsMax)
	}
}
