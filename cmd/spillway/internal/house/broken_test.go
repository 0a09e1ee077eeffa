package house

import (
	"strings"
	"testing"
)

// The house's tests pass on a tidy house, so they prove nothing until a doctored
// one makes each of them speak.
func TestChecks_NameEachBrokenRule(t *testing.T) {
	small := rules{
		module:     "spillway",
		vocabulary: []string{"ledger/money", "ledger"},
		rings: map[string]ring{
			"ingest/envelope": contracts,
			"campaigns/wire":  contracts,
			"ledger/consumer": services,
			"cache/feed":      services,
			"ledger/postgres": adapters,
			"cache":           adapters,
			"cmd/...":         wiring,
		},
		exceptions: map[string]bool{"cache/feed cache": true},
		homes:      map[string][]string{"github.com/jackc/pgx/v5": {"*/postgres", "cmd/..."}},
		tools:      map[string]ring{"golang.org/x/sync": services},
		testOnly:   []string{"testing"},
		topLevel:   []string{"ledger", "ingest", "campaigns", "cache", "cmd"},
	}
	file := func(imports ...string) string {
		text := "package p\n"
		for _, i := range imports {
			text += "import \"" + i + "\"\n"
		}
		return text
	}
	for _, c := range []struct {
		rule, name, text string
		want             string // part of the only fault, "" for none
	}{
		{"words are built from earlier ones", "ledger/ledger.go", file("spillway/ledger/money"), ""},
		{"and never from later ones", "ledger/money/m.go", file("spillway/ledger"), "later word"},
		{"a word knows no format", "ledger/ledger.go", file("spillway/ingest/envelope"), "imports point down"},
		{"a format knows the words", "ingest/envelope/e.go", file("spillway/ledger"), ""},
		{"a format does not know another", "ingest/envelope/e.go", file("spillway/campaigns/wire"), "sibling"},
		{"a service knows formats", "ledger/consumer/c.go", file("spillway/ingest/envelope"), ""},
		{"a service does not know another", "ledger/consumer/c.go", file("spillway/cache/feed"), "sibling"},
		{"a service does not know an adapter", "ledger/consumer/c.go", file("spillway/ledger/postgres"), "imports point down"},
		{"unless the table says so", "cache/feed/f.go", file("spillway/cache"), ""},
		{"an adapter does not know a service", "ledger/postgres/p.go", file("spillway/ledger/consumer"), "an adapter imports the service"},
		{"an adapter does not know another", "ledger/postgres/p.go", file("spillway/cache"), "sibling"},
		{"the wiring knows all", "cmd/spillway/up.go", file("spillway/ledger/postgres", "spillway/ledger/consumer", "github.com/jackc/pgx/v5"), ""},
		{"nobody knows the wiring", "ledger/consumer/c.go", file("spillway/cmd/spillway"), "imports point down"},
		{"a library stays at home", "ledger/consumer/c.go", file("github.com/jackc/pgx/v5/pgxpool"), "away from its home"},
		{"where it may be used", "ledger/postgres/p.go", file("github.com/jackc/pgx/v5/pgxpool"), ""},
		{"a name that begins alike is another library", "ledger/postgres/p.go", file("github.com/jackc/pgx/v55"), "without a home"},
		{"a library needs a home", "ledger/postgres/p.go", file("example.org/new"), "without a home"},
		{"a tool serves the working rings", "ledger/consumer/c.go", file("golang.org/x/sync/errgroup"), ""},
		{"and not the inner ones", "ingest/envelope/e.go", file("golang.org/x/sync/errgroup"), "open to ring 3"},
		{"code that ships does not import testing", "ledger/postgres/p.go", file("testing"), "for tests only"},
		{"nor what supports tests", "ledger/postgres/p.go", file("spillway/deploy/pgtest"), "for tests only"},
		{"which has no ring and imports what it likes", "deploy/pgtest/p.go", file("testing", "github.com/jackc/pgx/v5", "spillway/cmd/spillway"), ""},
		{"a test may", "ledger/postgres/p_test.go", file("testing", "spillway/ledger/consumer"), ""},
		{"a package has a ring", "ledger/unknown/u.go", file(), "has no ring"},
		{"and so has what it imports", "ledger/consumer/c.go", file("spillway/ledger/unknown"), "has no ring"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			wantFault(t, small.checkImports([]source{parse(t, c.name, c.text)}), c.want)
		})
	}

	t.Run("the table names what exists", func(t *testing.T) {
		one := rules{module: "spillway", rings: map[string]ring{"cache": adapters, "gone": services, "cmd/...": wiring}}
		wantFault(t, one.checkTable([]source{parse(t, "cache/c.go", file())}), "gone is placed")
	})
	t.Run("an exception is used", func(t *testing.T) {
		one := rules{module: "spillway", exceptions: map[string]bool{"cache ledger": true}}
		wantFault(t, one.checkTable([]source{parse(t, "cache/c.go", file())}), "is not used")
		wantFault(t, one.checkTable([]source{parse(t, "cache/c.go", file("spillway/ledger"))}), "")
	})
	t.Run("code lives in the agreed folders", func(t *testing.T) {
		wantFault(t, small.checkFolders([]source{parse(t, "util/u.go", file())}), `"util"`)
		wantFault(t, small.checkFolders([]source{parse(t, "main.go", file())}), `"."`)
		wantFault(t, small.checkFolders([]source{parse(t, "cache/c.go", file())}), "")
	})
}

func TestChecks_NameEachSideEffect(t *testing.T) {
	for _, c := range []struct {
		rule, name, text string
		want             string
	}{
		{"a word reads no clock", "ledger/l.go", "package p\nimport \"time\"\nvar t = time.Now()", "calls time.Now"},
		{"under whatever name", "ledger/l.go", "package p\nimport clock \"time\"\nvar t = clock.Since", "calls time.Since"},
		{"a duration is no clock", "ledger/l.go", "package p\nimport \"time\"\nvar t = time.Second", ""},
		{"a word starts no goroutine", "ledger/l.go", "package p\nfunc f() { go f() }", "starts a goroutine"},
		{"a word does no I/O", "ledger/l.go", "package p\nimport \"os\"", "imports os"},
		{"a format starts no goroutine", "ingest/envelope/e.go", "package p\nfunc f() { go f() }", "starts a goroutine"},
		{"a service may", "ledger/consumer/c.go", "package p\nimport \"time\"\nfunc f() { go f(); time.Now() }", ""},
		{"a service does not read the environment", "ledger/consumer/c.go", "package p\nimport \"os\"\nvar e = os.Getenv(\"X\")", "calls os.Getenv"},
		{"a service does not print", "ledger/consumer/c.go", "package p\nimport \"fmt\"\nfunc f() { fmt.Println() }", "calls fmt.Println"},
		{"an adapter does not log past the logger", "ledger/postgres/p.go", "package p\nimport \"log\"", "imports log"},
		{"slog is another package", "ledger/postgres/p.go", "package p\nimport \"log/slog\"", ""},
		{"the wiring may print", "cmd/spillway/up.go", "package p\nimport \"fmt\"\nfunc f() { fmt.Println() }", ""},
		{"a test is free", "ledger/l_test.go", "package p\nimport \"os\"\nfunc f() { go f() }", ""},
	} {
		t.Run(c.rule, func(t *testing.T) {
			wantFault(t, spillway.checkEffects([]source{parse(t, c.name, c.text)}), c.want)
		})
	}
}

func TestChecks_NamePlacesOfOneMachine(t *testing.T) {
	const checkout = "/srv/build/checkout"
	for _, c := range []struct{ text, want string }{
		{"see deploy/DESIGN.md", ""},
		{"cd /srv/build/checkout/ledger", "x.md:1"},
		{"first\n/home/somebody/notes", "x.md:2"},
		{"in /home/<user>/ and $HOME/notes", ""},
	} {
		wantFault(t, machinePaths("x.md", c.text, checkout), c.want)
	}
	wantFault(t, machinePaths("x.md", "WORKDIR /src", "/src"), "")
}

// wantFault checks that faults is exactly one that contains want, or none for "".
func wantFault(t *testing.T, faults []string, want string) {
	t.Helper()
	switch {
	case want == "" && len(faults) > 0:
		t.Errorf("faults %q, want none", faults)
	case want != "" && (len(faults) != 1 || !strings.Contains(faults[0], want)):
		t.Errorf("faults %q, want one with %q", faults, want)
	}
}
