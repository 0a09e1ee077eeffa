package house

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bufbuild/protocompile"
	"google.golang.org/protobuf/reflect/protoreflect"

	"spillway/loadtest/rig/programs"
)

// recorded are files that a version leaves behind for ever: what was applied to somebody's
// database, and bytes that are in somebody's streams.
var recorded = []string{":(glob)**/migrations/*.sql", ":(glob)**/testdata/version*.hex"}

// wires are the formats that processes of two versions speak to each other.
var wires = []string{"ingest/envelope/envelope.proto", "campaigns/wire/frames.proto"}

// What an earlier version wrote is still read, and what is written now it can read but
// for fields that it does not know. The versions themselves run side by side in
// loadtest/chaos, under -neighbours.
func TestNeighbours_FormatsOnlyGrow(t *testing.T) {
	tree := root(t)
	for _, v := range programs.Neighbours() {
		t.Run(v.Name, func(t *testing.T) {
			if err := v.Has(t.Context(), tree); err != nil {
				t.Skip(err)
			}
			changed, err := v.Changed(t.Context(), tree, recorded...)
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range changed {
				t.Errorf("%s is other than in version %s: what is out there stays as it is, a change is a new file beside it", name, v.Name)
			}
			for _, name := range wires {
				then, err := v.Read(t.Context(), tree, name)
				if err != nil {
					t.Fatal(err)
				}
				now, err := os.ReadFile(filepath.Join(tree, name))
				if err != nil {
					t.Fatal(err)
				}
				for _, fault := range shrunk(t, string(then), string(now)) {
					t.Errorf("%s since version %s: %s", name, v.Name, fault)
				}
			}
		})
	}
}

// shrunk says what of one schema another one does not have, or has otherwise.
func shrunk(t *testing.T, then, now string) (faults []string) {
	t.Helper()
	fields := func(text string) map[string]string {
		files, err := (&protocompile.Compiler{Resolver: &protocompile.SourceResolver{
			Accessor: protocompile.SourceAccessorFromMap(map[string]string{"a.proto": text}),
		}}).Compile(t.Context(), "a.proto")
		if err != nil {
			t.Fatal(err)
		}
		all := map[string]string{}
		collect(files[0].Messages(), all)
		return all
	}
	has := fields(now)
	for field, was := range fields(then) {
		if is := has[field]; is != was {
			faults = append(faults, fmt.Sprintf("%s was %q and is %q", field, was, is))
		}
	}
	slices.Sort(faults)
	return faults
}

// collect notes every field by message and number.
func collect(messages protoreflect.MessageDescriptors, all map[string]string) {
	for i := range messages.Len() {
		m := messages.Get(i)
		for j := range m.Fields().Len() {
			f := m.Fields().Get(j)
			what := fmt.Sprintf("%s %s %s", f.Cardinality(), f.Kind(), f.Name())
			if f.Message() != nil {
				what += " of " + string(f.Message().Name())
			}
			all[fmt.Sprintf("%s field %d", m.Name(), f.Number())] = what
		}
		collect(m.Messages(), all)
	}
}

func TestShrunk_NamesWhatAnEarlierReaderWouldMiss(t *testing.T) {
	const then = `syntax = "proto3"; message M { int64 a = 1; repeated N n = 2; } message N { string s = 1; }`
	for now, want := range map[string]string{
		then: "",
		`syntax = "proto3"; message M { int64 a = 1; repeated N n = 2; bytes b = 3; } message N { string s = 1; } message O {}`: "",
		`syntax = "proto3"; message M { int64 a = 1; N n = 2; } message N { string s = 1; }`:                                    "M field 2",
		`syntax = "proto3"; message M { sint64 a = 1; repeated N n = 2; } message N { string s = 1; }`:                          "M field 1",
		`syntax = "proto3"; message M { int64 a = 4; repeated N n = 2; } message N { string s = 1; }`:                           "M field 1",
		`syntax = "proto3"; message M { int64 a = 1; repeated N n = 2; } message N { reserved 1; }`:                             "N field 1",
	} {
		got := strings.Join(shrunk(t, then, now), "; ")
		if (want == "") != (got == "") || !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", now, got, want)
		}
	}
}

// A commit that a clone does not have is told from anything else: tests are skipped then.
func TestNeighbours_WithoutHistory(t *testing.T) {
	stranger := programs.Version{Name: "stranger", Commit: strings.Repeat("0", 40)}
	if err := stranger.Has(t.Context(), root(t)); !errors.Is(err, programs.ErrNoHistory) {
		t.Error(err)
	}
	if _, err := stranger.Build(t.Context(), t.TempDir(), t.TempDir()); !errors.Is(err, programs.ErrNoHistory) {
		t.Error(err)
	}
}
