package journal

import (
	"bytes"
	"encoding/hex"
	"testing"
	"time"
)

func capture() Entry {
	return Entry{
		Kind: Capture, Ref: "capture:ch_1", Donation: [16]byte{1, 2, 3}, OccurredAt: time.Date(2026, 11, 22, 12, 0, 0, 123456000, time.UTC),
		Postings: []Posting{
			{Account: Processor, Currency: "USD", AmountMinor: 5000},
			{Account: Gifts("river-school"), Currency: "USD", AmountMinor: -4900},
			{Account: FeesCovered, Currency: "USD", AmountMinor: -100},
		},
	}
}

// TestHash_StaysTheSame: chains that were written must verify for as long as they are
// kept. A change of the form needs another domain, and both to be read.
func TestHash_StaysTheSame(t *testing.T) {
	e := capture()
	first := Hash([32]byte{}, 3, 1, &e)
	if got, want := hex.EncodeToString(first[:]), "52940de885bbc149b2268d7eced52fb19fc78add653b6ea4d4c8cef56453dfb7"; got != want {
		t.Errorf("first link %s, want %s", got, want)
	}
	e.Actor, e.Reason = "ops@example.org", "asked by phone"
	second := Hash(first, 3, 2, &e)
	if got, want := hex.EncodeToString(second[:]), "d7832450a048823fed9087cb760b1a056d84079273e0ecf9ab2854f9db5ed915"; got != want {
		t.Errorf("second link %s, want %s", got, want)
	}
}

// TestHash_EveryFieldCounts, and where each text ends.
func TestHash_EveryFieldCounts(t *testing.T) {
	seen := map[[32]byte]string{}
	note := func(name string, hash [32]byte) {
		t.Helper()
		if other, ok := seen[hash]; ok {
			t.Errorf("%s hashes like %s", name, other)
		}
		seen[hash] = name
	}
	e := capture()
	note("the entry", Hash([32]byte{}, 3, 1, &e))
	note("prev", Hash([32]byte{31: 1}, 3, 1, &e))
	note("slot", Hash([32]byte{}, 4, 1, &e))
	note("n", Hash([32]byte{}, 3, 2, &e))
	for name, change := range map[string]func(*Entry){
		"kind":             func(e *Entry) { e.Kind = RefundMade },
		"ref":              func(e *Entry) { e.Ref += "2" },
		"donation":         func(e *Entry) { e.Donation[15] = 1 },
		"time":             func(e *Entry) { e.OccurredAt = e.OccurredAt.Add(time.Microsecond) },
		"actor":            func(e *Entry) { e.Actor = "x" },
		"reason":           func(e *Entry) { e.Reason = "x" },
		"account":          func(e *Entry) { e.Postings[1].Account = Gifts("river-schoo") },
		"currency":         func(e *Entry) { e.Postings[0].Currency = "EUR" },
		"amount":           func(e *Entry) { e.Postings[0].AmountMinor++ },
		"order":            func(e *Entry) { e.Postings[1], e.Postings[2] = e.Postings[2], e.Postings[1] },
		"one posting less": func(e *Entry) { e.Postings = e.Postings[:2] },
		"kind's end":       func(e *Entry) { e.Kind, e.Ref = e.Kind+"c", e.Ref[1:] },
		"reason's start":   func(e *Entry) { e.Actor, e.Reason = "xx", "" },
		"actor's end":      func(e *Entry) { e.Actor, e.Reason = "", "xx" },
	} {
		changed := capture()
		change(&changed)
		note(name, Hash([32]byte{}, 3, 1, &changed))
	}
}

// TestHash_AsReadBack: another zone and what is below a microsecond do not count.
func TestHash_AsReadBack(t *testing.T) {
	e, back := capture(), capture()
	back.OccurredAt = e.OccurredAt.In(time.FixedZone("", 3600)).Add(999)
	if Hash([32]byte{}, 1, 1, &e) != Hash([32]byte{}, 1, 1, &back) {
		t.Error("an entry that is read back hashes to another value")
	}
}

// FuzzAppendCanonical: different texts never share a form.
func FuzzAppendCanonical(f *testing.F) {
	f.Add("capture", "ref", "a", "b", "capture", "ref", "ab", "")
	f.Add("x", "\x00\x00\x00\x01", "", "", "x\x00", "\x00\x00\x01", "", "")
	f.Fuzz(func(t *testing.T, kind, ref, actor, reason, kind2, ref2, actor2, reason2 string) {
		a := Entry{Kind: Kind(kind), Ref: ref, Actor: actor, Reason: reason}
		b := Entry{Kind: Kind(kind2), Ref: ref2, Actor: actor2, Reason: reason2}
		same := kind == kind2 && ref == ref2 && actor == actor2 && reason == reason2
		if bytes.Equal(AppendCanonical(nil, &a), AppendCanonical(nil, &b)) != same {
			t.Errorf("%+v and %+v", a, b)
		}
	})
}

func BenchmarkHash(b *testing.B) {
	e := capture()
	b.ReportAllocs()
	var h [32]byte
	for n := range b.N {
		h = Hash(h, 1, int64(n), &e)
	}
}
