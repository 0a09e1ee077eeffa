package problem_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"unicode/utf8"

	"spillway/ingest"
	"spillway/ingest/problem"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares got with testdata/name.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, append(got, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(append(got, '\n'), want) {
		t.Errorf("%s:\n got %s\nwant %s", name, got, want)
	}
}

// Clients decide by these documents: one file for each kind.
func TestAppendJSON_EachKind(t *testing.T) {
	for _, kind := range problem.All() {
		p := problem.Problem{Kind: kind, Instance: "/v1/donations"}
		golden(t, kind.Code()+".json", p.AppendJSON(nil))
	}
}

func TestAppendJSON_Whole(t *testing.T) {
	id := ingest.DeriveID([]byte("0123456789abcdef"))
	p := problem.Problem{
		Kind:     problem.UnknownDonation,
		Detail:   "Something of its own.",
		Instance: "/v1/donations/" + id.String(),
		Retry:    true,
		Fields: []ingest.FieldError{
			{Pointer: "/lines/0/amount_minor", Code: ingest.CodeTooSmall, Detail: "1 minor unit at least"},
			{Pointer: `/"<b>&\~1` + "\x00\x1f\x7f\xff", Code: ingest.CodeUnknownMember, Detail: "there is no such member"},
		},
		Donation: &problem.Donation{ID: id, StatusURL: []byte("/v1/donations/" + id.String()), Token: []byte("dQECAwQFBgcICQoLDA0ODw")},
	}
	golden(t, "whole.json", p.AppendJSON(nil))
}

func TestTable_IsSound(t *testing.T) {
	codes := map[string]bool{}
	for _, kind := range problem.All() {
		name := kind.Code()
		if !regexp.MustCompile(`^[a-z_]+$`).MatchString(name) || codes[name] {
			t.Errorf("code %q is not a word or given twice", name)
		}
		codes[name] = true
		if http.StatusText(kind.Status()) == "" || kind.Status() < 400 || kind.Title() == "" || kind.Detail() == "" {
			t.Errorf("%s: status %d, %q, %q", name, kind.Status(), kind.Title(), kind.Detail())
		}
		mustRetryAfter := kind.Status() == 429 || kind.Status() == 503
		for random := range uint32(100) {
			if after := kind.RetryAfter(random); (after > 0) != mustRetryAfter || after > 10 {
				t.Errorf("%s: Retry-After %d", name, after)
			}
		}
		if mustRetryAfter && !kind.Retryable() {
			t.Errorf("%s: has a Retry-After and is not retryable", name)
		}
	}
}

func TestOf(t *testing.T) {
	for err, want := range map[error]problem.Kind{
		ingest.ErrBusy:     problem.Overloaded,
		ingest.ErrNotReady: problem.NotReady,
		ingest.ErrUnknown:  problem.OutcomeUnknown,
		ingest.ErrBadKey:   problem.BadIdempotencyKey,
		fmt.Errorf("publish: %w", ingest.ErrBusy):                             problem.Overloaded,
		fmt.Errorf("%w: not seen: %w", ingest.ErrUnknown, ingest.ErrNotReady): problem.OutcomeUnknown,
		fmt.Errorf("%w: %w", ingest.ErrNotReady, ingest.ErrUnknown):           problem.OutcomeUnknown,
		errors.New("anything else"):                                           problem.Internal,
	} {
		if got := problem.Of(err); got != want {
			t.Errorf("%v: %s, want %s", err, got.Code(), want.Code())
		}
	}
}

func FuzzAppendString(f *testing.F) {
	f.Add("plain")
	f.Add("\"\\</script>\u2028\x00\xff")
	f.Fuzz(func(t *testing.T, s string) {
		out := problem.AppendString(nil, s)
		var got string
		if err := json.Unmarshal(out, &got); err != nil || !utf8.Valid(out) {
			t.Fatalf("%q: %q is not a JSON string: %v", s, out, err)
		}
		if utf8.ValidString(s) && got != s {
			t.Fatalf("%q came back as %q", s, got)
		}
	})
}

func BenchmarkAppendJSON(b *testing.B) {
	p, dst := problem.Problem{Kind: problem.Overloaded, Instance: "/v1/donations"}, make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		p.AppendJSON(dst)
	}
}
