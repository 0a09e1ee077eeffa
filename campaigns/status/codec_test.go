package status_test

import (
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"spillway/campaigns/status"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func whole() *status.Report {
	pace, age, behind, left, holds := 25.0, int64(1200), int64(3), int64(70_000), true
	return &status.Report{
		Node: "box/17", Build: "abc", StartedAt: noon, SentAt: noon.Add(time.Minute), Number: 61,
		Roles: []status.Role{{Name: status.FrontEndRole, Ready: true}, {Name: status.LedgerRole, Reason: "starting"}},
		FrontEnd: &status.FrontEnd{AcceptedPerSecond: 300.5, AckP50Millis: 2, AckP99Millis: 9.25, Acks: 3000,
			RefusedPerSecond: map[string]float64{"overloaded": 3}, InFlight: 4, Viewers: 10_000, StaleMillis: 170},
		Ledger: &status.Ledger{RecordedPerSecond: 300, LagMessages: 2, HeldMessages: 1, LagMillis: 40, CountedMillis: 120},
		Payments: &status.Payments{ChargesPerSecond: 25, CapturesPerSecond: 24, DeclinesPerSecond: 1, Due: 90_000, Late: 3, PacePerSecond: &pace,
			OldestMillis: 60_000, Away: true, Differences: 1, OffMinor: 5},
		Admin: &status.Admin{SearchMillis: &age, SearchBehind: &behind},
		Rehearsal: &status.Rehearsal{Run: "friday", Scenario: "quick", Phase: "sending", Sending: true, Planned: 6000, Sent: 900, Accepted: 890, Refused: 1, Unknown: 2,
			SentPerSecond: 130.5, AcceptedPerSecond: 130, AckP99Millis: 8, LeftMillis: &left, Holds: &holds},
	}
}

func TestDecode_ReadsWhatEncodeWrote(t *testing.T) {
	want := whole()
	data, err := status.Encode(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := status.Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if len(data) > status.BytesMax/8 {
		t.Errorf("%d bytes of a report with everything", len(data))
	}
}

func TestDecode_PassesOverWhatAnotherBuildSays(t *testing.T) {
	r, err := status.Decode([]byte(`{"node":"a","roles":[{"name":"oracle","ready":true,"mood":"well"}],"oracle":{"x":1}}`))
	if err != nil || r.Node != "a" || len(r.Roles) != 1 || r.Roles[0].Name != "oracle" || r.FrontEnd != nil {
		t.Errorf("got %+v, %v", r, err)
	}
}

func TestDecode_RefusesWhatIsNoReport(t *testing.T) {
	long := strings.Repeat("x", status.BytesMax)
	for name, data := range map[string]string{
		"nothing": "", "no JSON": "{", "nobody": `{"node":""}`, "another type": `{"node":7}`,
		"a long name": `{"node":"` + long[:status.NameBytesMax+1] + `"}`, "too large": `{"node":"a","x":"` + long + `"}`,
		"too many roles":       `{"node":"a","roles":[` + strings.Repeat(`{"name":"r"},`, status.RolesMax) + `{"name":"r"}]}`,
		"a nameless role":      `{"node":"a","roles":[{"name":""}]}`,
		"a nameless rehearsal": `{"node":"a","rehearsal":{"phase":"sending"}}`,
		"a long phase":         `{"node":"a","rehearsal":{"run":"a","phase":"` + long[:status.ReasonBytesMax+1] + `"}}`,
		"a long reason":        `{"node":"a","roles":[{"name":"r","reason":"` + long[:status.ReasonBytesMax+1] + `"}]}`,
		"too large number":     `{"node":"a","number":1e30}`,
	} {
		if _, err := status.Decode([]byte(data)); !errors.Is(err, status.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestEncode_CutsWhatIsTooLong(t *testing.T) {
	r := &status.Report{Node: strings.Repeat("é", status.NameBytesMax), Build: "\xff",
		Roles: []status.Role{status.ReadyRole(status.LedgerRole, errors.New(strings.Repeat("€", status.ReasonBytesMax)))}}
	for range 2 * status.RolesMax {
		r.Roles = append(r.Roles, status.ReadyRole("r", nil))
	}
	data, err := status.Encode(r)
	if err != nil {
		t.Fatal(err)
	}
	got, err := status.Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	if !utf8.ValidString(got.Node) || !utf8.ValidString(got.Roles[0].Reason) || len(got.Roles) != status.RolesMax || got.Roles[0].Ready || !got.Roles[1].Ready {
		t.Errorf("got %+v", got)
	}
	if _, err := status.Encode(&status.Report{}); err == nil {
		t.Error("a report of nobody was encoded")
	}
}

func TestNumber(t *testing.T) {
	for _, v := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		if got := status.Number(v); got != 0 {
			t.Errorf("%v counts as %v", v, got)
		}
	}
	if status.Number(-1.5) != -1.5 {
		t.Error("a number is not itself")
	}
}

func FuzzDecode(f *testing.F) {
	data, err := status.Encode(whole())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(`{"node":"a","payments":{"pace_per_second":null}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := status.Decode(data)
		if err != nil {
			return
		}
		again, err := status.Encode(r)
		if err != nil {
			return // bounds of what is written are narrower: escapes take room
		}
		if _, err := status.Decode(again); err != nil {
			t.Errorf("what was read and written cannot be read: %v", err)
		}
	})
}
