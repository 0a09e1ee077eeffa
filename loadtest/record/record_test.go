package record

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"spillway/loadtest/gift"
)

var header = Header{Version: Version, Run: "r", Source: "s", Hash: "abc", Copies: 1}

// collect visits everything and returns it in order.
func collect(into *[]any) Visitor {
	return Visitor{
		Session:  func(s Session) error { *into = append(*into, s); return nil },
		Campaign: func(i int32, c Campaign) error { *into = append(*into, i, c); return nil },
		Attempt: func(a *Attempt) error {
			b := *a
			b.Lines = append([]Line(nil), a.Lines...)
			*into = append(*into, b)
			return nil
		},
		Answer:      func(a *Answer) error { *into = append(*into, *a); return nil },
		Observation: func(o *Observation) error { *into = append(*into, *o); return nil },
		Finding:     func(f Finding) error { *into = append(*into, f); return nil },
		End:         func(e End) error { *into = append(*into, e); return nil },
	}
}

func drawTime(t *rapid.T, label string) time.Time {
	nanos := rapid.Int64Range(0, 4e18).Draw(t, label)
	if nanos == 0 {
		return time.Time{}
	}
	return time.Unix(0, nanos).UTC()
}

func drawRef(t *rapid.T) gift.Ref {
	return gift.Ref{Kind: gift.Kind(rapid.IntRange(1, 8).Draw(t, "kind")), Number: rapid.Int64Range(0, 1<<50).Draw(t, "n"),
		Copy: rapid.Uint16().Draw(t, "copy"), Variant: rapid.Byte().Draw(t, "variant")}
}

// put draws an entry, writes it and appends what must be read back.
func put(t *rapid.T, w *Writer, campaigns *int32, want []any) []any {
	var err error
	switch rapid.IntRange(0, 6).Draw(t, "entry") {
	case 0:
		a := Attempt{Ref: drawRef(t), Try: rapid.IntRange(0, 1<<20).Draw(t, "try"), Sent: drawTime(t, "sent")}
		for range rapid.IntRange(0, 3).Draw(t, "lines") {
			a.Lines = append(a.Lines, Line{rapid.Int32Range(0, 1<<30).Draw(t, "c"), rapid.Int64Range(0, 1<<40).Draw(t, "a")})
		}
		w.Attempt(&a)
		want = append(want, a)
	case 1:
		a := Answer{Ref: drawRef(t), Try: 1, Outcome: Outcome(rapid.IntRange(1, 4).Draw(t, "outcome")),
			Code: rapid.IntRange(0, 599).Draw(t, "code"), At: drawTime(t, "at"), AcceptedAt: drawTime(t, "accepted")}
		w.Answer(&a)
		want = append(want, a)
	case 2:
		o := Observation{Connection: 3, Campaign: rapid.Int32Range(0, 9).Draw(t, "c"), At: drawTime(t, "at"), AsOf: drawTime(t, "as_of"),
			Lag: time.Duration(rapid.Int64().Draw(t, "lag")), Epoch: rapid.Int64().Draw(t, "epoch"), Version: rapid.Int64().Draw(t, "version"),
			Donations: rapid.Int64().Draw(t, "donations"), PledgedMinor: rapid.Int64().Draw(t, "pledged"), AgesOnly: rapid.Bool().Draw(t, "ages")}
		w.Observation(&o)
		want = append(want, o)
	case 3:
		s := Session{StartedAt: drawTime(t, "at"), Resumed: rapid.Bool().Draw(t, "resumed"), Target: rapid.StringMatching(`[a-zé"]*`).Draw(t, "target")}
		err = w.Session(s)
		want = append(want, s)
	case 4:
		f := Finding{Invariant: "I8", Holds: rapid.Bool().Draw(t, "holds"), Detail: "d", At: drawTime(t, "at")}
		err = w.Finding(f)
		want = append(want, f)
	case 5:
		e := End{At: drawTime(t, "at"), Stopped: rapid.Bool().Draw(t, "stopped")}
		err = w.End(e)
		want = append(want, e)
	case 6:
		c := Campaign{Slug: rapid.StringMatching(`[a-z]{1,9}`).Draw(t, "slug"), Currency: "USD", SumMinor: rapid.Int64().Draw(t, "sum")}
		var first int32
		first, err = w.Campaigns([]Campaign{c})
		if first != *campaigns {
			t.Fatalf("campaign index %d, want %d", first, *campaigns)
		}
		*campaigns++
		want = append(want, first, c)
	}
	if err != nil {
		t.Fatal(err)
	}
	if rapid.Bool().Draw(t, "flush") {
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	return want
}

// TestRecord_SurvivesAKillAtAnyByte writes entries, cuts the file anywhere, opens
// it again, goes on, and must read a prefix of the first entries and all of the second.
func TestRecord_SurvivesAKillAtAnyByte(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		path := filepath.Join(dir, "r")
		os.Remove(path)
		w, err := Open(path, header, Visitor{})
		if err != nil {
			t.Fatal(err)
		}
		var want []any
		var campaigns int32
		for range rapid.IntRange(0, 12).Draw(t, "entries") {
			want = put(t, w, &campaigns, want)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		var got []any
		h, torn, err := Scan(path, collect(&got))
		if err != nil || torn != 0 || h != header || !reflect.DeepEqual(got, want) {
			t.Fatalf("read %+v, torn %d, %v, %v; want %v", h, torn, err, got, want)
		}

		info, _ := os.Stat(path)
		if err := os.Truncate(path, rapid.Int64Range(0, info.Size()).Draw(t, "cut")); err != nil {
			t.Fatal(err)
		}
		var before, visited []any
		if _, _, err := Scan(path, collect(&before)); err != nil {
			t.Fatalf("after a cut: %v", err)
		}
		if len(before) > len(want) || len(before) > 0 && !reflect.DeepEqual(before, want[:len(before)]) {
			t.Fatalf("after a cut %v, want a beginning of %v", before, want)
		}
		w, err = Open(path, header, collect(&visited))
		if err != nil || !reflect.DeepEqual(visited, before) {
			t.Fatalf("opened with %v, %v; want %v", visited, err, before)
		}
		campaigns = 0
		for _, e := range before {
			if _, ok := e.(Campaign); ok {
				campaigns++
			}
		}
		want = before
		for range rapid.IntRange(0, 5).Draw(t, "more") {
			want = put(t, w, &campaigns, want)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		got = nil
		if _, torn, err := Scan(path, collect(&got)); err != nil || torn != 0 || !reflect.DeepEqual(got, want) {
			t.Fatalf("after going on: %v, torn %d, %v; want %v", got, torn, err, want)
		}
	})
}

func TestScan_NoticesAnyFlippedBit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "r")
	w, err := Open(path, header, Visitor{})
	if err != nil {
		t.Fatal(err)
	}
	for n := range int64(5) {
		w.Attempt(&Attempt{Ref: gift.Ref{Kind: gift.Row, Number: n + 1}, Try: 1, Sent: time.Unix(1, 0)})
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	w.Close()
	whole, _ := os.ReadFile(path)
	for i := range whole {
		for bit := range 8 {
			bad := bytes.Clone(whole)
			bad[i] ^= 1 << bit
			if err := os.WriteFile(path, bad, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, _, err := Scan(path, Visitor{}); !errors.Is(err, ErrCorrupt) {
				t.Fatalf("byte %d bit %d: %v", i, bit, err)
			}
			if _, err := Open(path, header, Visitor{}); !errors.Is(err, ErrCorrupt) {
				t.Fatalf("byte %d bit %d: opened, %v", i, bit, err)
			}
		}
	}
}

func TestOpen_RefusesWhatIsNotItsOwn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "r")
	w, err := Open(path, header, Visitor{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, header, Visitor{}); !errors.Is(err, ErrBusy) {
		t.Errorf("opened twice: %v", err)
	}
	w.Close()
	for _, other := range []Header{{Run: "x", Source: "s", Hash: "abc", Copies: 1}, {Run: "r", Source: "s", Hash: "abd", Copies: 1}, {Run: "r", Source: "s", Hash: "abc", Copies: 2}} {
		if _, err := Open(path, other, Visitor{}); !errors.Is(err, ErrOther) {
			t.Errorf("%+v: %v", other, err)
		}
	}
	for _, text := range []string{"notes", "my very own notes, longer than a head", string(make([]byte, 64))} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(path, header, Visitor{}); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%q: %v", text, err)
		}
		if kept, _ := os.ReadFile(path); string(kept) != text {
			t.Errorf("%q became %q", text, kept)
		}
	}
}

func TestScan_RefusesANewerVersion(t *testing.T) {
	path := filepath.Join(t.TempDir(), "r")
	entry, err := appendJSON(make([]byte, blockHeadBytes), kindHeader, Header{Version: Version + 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, seal(entry), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Scan(path, Visitor{}); !errors.Is(err, ErrVersion) {
		t.Error(err)
	}
}

func TestFlush_KeepsTheFirstError(t *testing.T) {
	w, err := Open(filepath.Join(t.TempDir(), "r"), header, Visitor{})
	if err != nil {
		t.Fatal(err)
	}
	w.file.Close()
	for range 2 {
		w.Answer(&Answer{Ref: gift.Ref{Kind: gift.Row}, Outcome: Accepted})
		if err := w.Flush(); !errors.Is(err, os.ErrClosed) {
			t.Errorf("flush to a closed file: %v", err)
		}
	}
}

func FuzzScan(f *testing.F) {
	for _, text := range []string{`{"version":1}`, `{"version":2}`, "x"} {
		b := append(make([]byte, blockHeadBytes), kindHeader, byte(len(text)))
		b = append(b, text...)
		b = appendAttempt(b, &Attempt{Ref: gift.Ref{Kind: 1, Number: 5}, Lines: []Line{{1, 2}}})
		b = appendAnswer(b, &Answer{Ref: gift.Ref{Kind: 1, Number: 5}, Outcome: Accepted, Code: 202})
		b = appendObservation(b, &Observation{})
		f.Add(b[blockHeadBytes:])
	}
	path := filepath.Join(f.TempDir(), "r")
	f.Fuzz(func(t *testing.T, body []byte) {
		if err := os.WriteFile(path, seal(append(make([]byte, blockHeadBytes), body...)), 0o600); err != nil {
			t.Fatal(err)
		}
		var got []any
		if _, torn, err := Scan(path, collect(&got)); err == nil && torn != 0 {
			t.Fatalf("a whole block was read as torn: %d", torn)
		}
	})
}

func BenchmarkAttemptAndAnswer(b *testing.B) {
	w, err := Open(filepath.Join(b.TempDir(), "r"), header, Visitor{})
	if err != nil {
		b.Fatal(err)
	}
	defer w.Close()
	now := time.Now()
	a := Attempt{Ref: gift.Ref{Kind: gift.Row, Number: 123456}, Try: 1, Sent: now, Lines: []Line{{17, 5000}}}
	r := Answer{Ref: a.Ref, Try: 1, Outcome: Accepted, Code: 202, At: now, AcceptedAt: now}
	b.ReportAllocs()
	for b.Loop() {
		w.Attempt(&a)
		w.Answer(&r)
	}
}
