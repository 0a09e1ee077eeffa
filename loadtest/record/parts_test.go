package record

import (
	"errors"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"spillway/loadtest/gift"
)

var partStart = time.Unix(1_800_000_000, 0).UTC()

// writePart writes a record of the campaigns with one row sent and answered.
func writePart(t *testing.T, h Header, campaigns []Campaign, row int64, ahead time.Duration) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "part")
	w, err := Open(path, h, Visitor{})
	if err != nil {
		t.Fatal(err)
	}
	at := partStart.Add(ahead)
	_, errCampaigns := w.Campaigns(campaigns)
	errSession := w.Session(Session{StartedAt: at})
	w.Attempt(&Attempt{Ref: gift.Ref{Kind: gift.Row, Number: row}, Try: 1, Sent: at.Add(time.Second), Lines: []Line{{0, 100}}})
	w.Answer(&Answer{Ref: gift.Ref{Kind: gift.Row, Number: row}, Try: 1, Outcome: Accepted, Code: 202, At: at.Add(2 * time.Second), AcceptedAt: partStart})
	w.Answer(&Answer{Ref: gift.Ref{Kind: gift.Row, Number: row}, Try: 2, Outcome: Unknown})
	w.Observation(&Observation{Connection: 1, At: at, AsOf: partStart})
	errFinding := w.Finding(Finding{Invariant: "I8", Holds: true, At: at})
	errEnd := w.End(End{At: at.Add(3 * time.Second)})
	if err := errors.Join(errCampaigns, errSession, errFinding, errEnd, w.Close()); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestScanRun_ReadsSeveralRecordsAsOne(t *testing.T) {
	campaigns := []Campaign{{Slug: "a", Currency: "USD", Rows: 2, StartsAt: partStart}, {Slug: "probe", Currency: "USD"}}
	leader := header
	leader.Probes = true
	first := writePart(t, leader, campaigns, 1, 0)
	for _, ahead := range []time.Duration{0, time.Minute, -time.Minute} {
		second := writePart(t, header, campaigns[:1], 2, ahead)
		var got, want []any
		h, torn, err := ScanRun(first, []Part{{Path: second, Ahead: ahead}}, collect(&got))
		if err != nil || torn != 0 || h != leader {
			t.Fatalf("%+v, %d, %v", h, torn, err)
		}
		// The other part as the first one's clock would have shown it, without its campaigns.
		rest := collect(&want)
		if _, _, err := Scan(first, rest); err != nil {
			t.Fatal(err)
		}
		rest.Campaign = nil
		if _, _, err := Scan(writePart(t, header, campaigns[:1], 2, 0), rest); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%v ahead: visited\n%v\nwant\n%v", ahead, got, want)
		}
	}
}

// Where a clock is not known to the microsecond, a request may have left that much
// earlier and its answer come that much later.
func TestScanRun_IsLenientWhereAClockIsUnsure(t *testing.T) {
	campaigns := []Campaign{{Slug: "a", Currency: "USD", Rows: 2}}
	first, second := writePart(t, header, campaigns, 1, 0), writePart(t, header, campaigns, 2, time.Minute)
	const unsure = 3 * time.Millisecond
	attempts, answers := 0, 0
	_, _, err := ScanRun(first, []Part{{Path: second, Ahead: time.Minute, Unsure: unsure}}, Visitor{
		Attempt: func(a *Attempt) error {
			want := partStart.Add(time.Second)
			if a.Ref.Number == 2 {
				want, attempts = want.Add(-unsure), attempts+1
			}
			if !a.Sent.Equal(want) {
				t.Errorf("%v sent at %v, want %v", a.Ref, a.Sent, want)
			}
			return nil
		},
		Answer: func(a *Answer) error {
			if a.Ref.Number == 2 && a.Outcome == Accepted {
				answers++
				if want := partStart.Add(2*time.Second + unsure); !a.At.Equal(want) || !a.AcceptedAt.Equal(partStart) {
					t.Errorf("answered at %v, accepted at %v, want %v and %v", a.At, a.AcceptedAt, want, partStart)
				}
			}
			return nil
		},
	})
	if err != nil || attempts != 1 || answers != 1 {
		t.Errorf("%d attempts, %d answers of the other part, %v", attempts, answers, err)
	}
}

func TestScanRun_RefusesWhatIsNotOfTheRun(t *testing.T) {
	campaigns := []Campaign{{Slug: "a", Currency: "USD", Rows: 2}}
	first := writePart(t, header, campaigns, 1, 0)
	change := func(f func(*Header)) Header { h := header; f(&h); return h }
	for name, part := range map[string]string{
		"run":             writePart(t, change(func(h *Header) { h.Run = "x" }), campaigns, 2, 0),
		"rows":            writePart(t, change(func(h *Header) { h.Hash = "x" }), campaigns, 2, 0),
		"copies":          writePart(t, change(func(h *Header) { h.Copies = 2 }), campaigns, 2, 0),
		"campaign":        writePart(t, header, []Campaign{{Slug: "b", Currency: "USD", Rows: 2}}, 2, 0),
		"campaign's rows": writePart(t, header, []Campaign{{Slug: "a", Currency: "USD", Rows: 3}}, 2, 0),
		"more campaigns":  writePart(t, header, append(campaigns[:1:1], Campaign{Slug: "b"}), 2, 0),
	} {
		var seen []any
		v := collect(&seen)
		sessions := 0
		v.Session = func(Session) error { sessions++; return nil }
		if _, _, err := ScanRun(first, []Part{{Path: part}}, v); !errors.Is(err, ErrOther) {
			t.Errorf("another %s: %v", name, err)
		}
		if sessions != 1 {
			t.Errorf("another %s: %d sessions visited, want the first one's only", name, sessions)
		}
	}
	if _, _, err := ScanRun(first, []Part{{Path: first + "x"}}, Visitor{}); err == nil {
		t.Error("a part that is not there: no error")
	}
}
