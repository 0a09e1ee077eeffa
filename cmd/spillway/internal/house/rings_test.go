package house

// ring is how far a package stands from the outside world. Imports point down:
// from a higher number to a lower one.
type ring int

const (
	vocabulary ring = 1 // words and pure functions: no I/O, no clock, no goroutine
	contracts  ring = 2 // wire formats and documents that processes agree on
	services   ring = 3 // the work; each declares the small interfaces that it needs
	adapters   ring = 4 // one third-party service each
	wiring     ring = 5 // the only place where services and adapters meet
)

func (r ring) String() string {
	switch r {
	case vocabulary:
		return "ring 1, vocabulary"
	case contracts:
		return "ring 2, contracts"
	case services:
		return "ring 3, services"
	case adapters:
		return "ring 4, adapters"
	case wiring:
		return "ring 5, wiring"
	}
	return "no ring"
}

// rules is one house: the tests hold the real one, and doctored ones to prove
// that they can fail.
type rules struct {
	// module is the module path, which is the prefix of every import of our own.
	module string
	// vocabulary lists ring 1 in order: each package may import those before it.
	vocabulary []string
	// rings places every other package. A name ending in "/..." places all
	// packages below it, and the one itself.
	rings map[string]ring
	// standard names packages of ours that serve like the standard library, and may
	// do what it does: every ring from theirs up may use them.
	standard map[string]bool
	// exceptions are single imports that a wall would forbid, "importer imported".
	exceptions map[string]bool
	// homes says which packages may import a third-party library from code that
	// ships. Keys are import path prefixes, the longest match counts; values are
	// package names, "x/..." patterns, or "*/x" for every package named x.
	homes map[string][]string
	// tools are libraries that serve like the standard one: the ring given and all
	// rings above it may import them.
	tools map[string]ring
	// testOnly lists import path prefixes that only _test.go files, and packages
	// whose name ends in "test", may import. Such packages need no line here.
	testOnly []string
	// topLevel lists the folders that may hold Go code.
	topLevel []string
}

// spillway is the house. Why a wall stands where it does is in style.md's table
// of rings, repeated in the README, and beside each odd line here.
var spillway = rules{
	module: "spillway",
	vocabulary: []string{
		"ledger/money",
		"ledger",
		"ledger/journal",
		"ledger/payments",
		"campaigns",
		"campaigns/access",
		"ingest",
		"ingest/trace",
	},
	rings: map[string]ring{
		"ingest/envelope":  contracts,
		"ingest/keyring":   contracts,
		"ingest/bundle":    contracts,
		"ingest/problem":   contracts,
		"ingest/openapi":   contracts, // the public contract as a document
		"campaigns/wire":   contracts,
		"campaigns/board":  contracts, // the giving day at a moment, as pages and API read it
		"campaigns/render": contracts, // documents and events, as every reader of totals gets them
		// Passwords, tokens and codes, as console and command line check them.
		"campaigns/access/credential": contracts,
		"campaigns/web/style":         contracts, // the look of pages and console, as bytes
		// What the sections of the console share, and how a request to it is made and answered.
		"campaigns/console/frame": contracts,
		// Spreadsheets of organisers, and what becomes of their rows.
		"campaigns/console/manage/sheet": contracts,
		"campaigns/console/manage/plan":  contracts,
		"campaigns/status":               contracts, // what processes tell the console about themselves
		"ledger/search":                  contracts, // what may be looked up, and how texts are made comparable
		// What the ledger's two adapters agree on about their one database; no SQL of either.
		"ledger/postgres/session": contracts,
		// Waiting between tries serves like the standard library; every service may.
		"ledger/backoff": contracts,
		"ledger/metric":  contracts, // registering counts serves likewise
		// The one way in which every adapter with tables brings them to its version.
		"ledger/postgres/migration": contracts,

		"ingest/admission":            services,
		"ingest/httpapi":              services,
		"ingest/webhook":              services,
		"ledger/consumer":             services,
		"ledger/payments/charge":      services,
		"ledger/verify":               services,
		"ledger/search/projector":     services,
		"ledger/reconcile":            services,
		"campaigns/directory":         services,
		"campaigns/publish":           services,
		"campaigns/live":              services,
		"campaigns/web":               services,
		"campaigns/board/keeper":      services,
		"campaigns/httpapi":           services,
		"cache/feed":                  services,
		"campaigns/console":           services,
		"campaigns/console/donations": services,
		"campaigns/console/manage":    services,
		"campaigns/console/people":    services,

		"campaigns/console/dashboard": services,
		"campaigns/status/meter":      services,

		"ingest/broker":                     adapters,
		"ingest/trace/otlp":                 adapters, // to a collector
		"ledger/postgres":                   adapters,
		"ledger/payments/stripe":            adapters,
		"ledger/payments/postgres":          adapters,
		"ledger/verify/postgres":            adapters,
		"ledger/search/postgres":            adapters,
		"ledger/reconcile/postgres":         adapters,
		"campaigns/postgres":                adapters,
		"campaigns/console/manage/postgres": adapters,
		"campaigns/access/postgres":         adapters,
		"cache":                             adapters,

		"campaigns/web/browser": wiring, // tests alone: pages and service in a real browser

		"cmd/...":      wiring,
		"loadtest/...": wiring,
		"deploy/...":   wiring,
	},
	standard: map[string]bool{"ledger/backoff": true},
	exceptions: map[string]bool{
		// A plan is a pure function of a spreadsheet: between the two stands no interface
		// that would say less than the table itself does.
		"campaigns/console/manage/plan campaigns/console/manage/sheet": true,
	},
	homes: map[string][]string{
		"github.com/valyala/fasthttp":             {"*/httpapi", "ingest/webhook", "campaigns/web", "campaigns/console/...", "cmd/...", "loadtest/..."},
		"github.com/nats-io/nats.go":              {"ingest/broker"},
		"github.com/nats-io/nats-server/v2":       {"deploy/onebox/..."},
		"github.com/jackc/pgx/v5":                 {"*/postgres", "ledger/postgres/session", "ledger/postgres/migration", "deploy/onebox/...", "loadtest/..."},
		"github.com/pressly/goose/v3":             {"ledger/postgres/migration"},
		"github.com/dgraph-io/ristretto/v2":       {"cache"},
		"github.com/stripe/stripe-go/v76":         {"ledger/payments/stripe"},
		"github.com/alecthomas/kong":              {"cmd/..."},
		"google.golang.org/protobuf":              {"ingest/envelope", "ingest/keyring", "campaigns/wire"},
		"google.golang.org/protobuf/proto":        {"ingest/trace/otlp"}, // our own formats are by hand
		"go.opentelemetry.io/proto/slim/otlp":     {"ingest/trace/otlp"},
		"github.com/go-json-experiment/json":      {"*/httpapi", "ingest/problem", "campaigns/console/...", "loadtest/..."},
		"github.com/boombuler/barcode":            {"campaigns/web", "campaigns/console/people"},
		"github.com/HdrHistogram/hdrhistogram-go": {"loadtest/..."},
		"github.com/mattn/go-isatty":              {"cmd/...", "loadtest/..."},
		"golang.org/x/crypto":                     {"campaigns/access/credential"},
		"github.com/pquerna/otp":                  {"campaigns/access/credential"},
		"github.com/xuri/excelize/v2":             {"campaigns/console/manage/sheet"},
		"go.yaml.in/yaml/v3":                      {"loadtest/scenario"},
		"github.com/agnivade/levenshtein":         {"loadtest/scenario", "cmd/spillway/internal/config"}, // "did you mean"
		"golang.org/x/sys":                        {"deploy/onebox/...", "loadtest/...", "cmd/..."},
	},
	tools: map[string]ring{
		"github.com/prometheus/client_golang": contracts,
		"golang.org/x/text":                   contracts,
		"golang.org/x/sync":                   services,
	},
	testOnly: []string{
		"testing",
		"pgregory.net/rapid",
		"go.uber.org/goleak",
		"github.com/google/go-cmp",
		"github.com/chromedp",
		"github.com/bufbuild/protocompile",
		"google.golang.org/protobuf/types/dynamicpb",
		"google.golang.org/protobuf/reflect",
	},
	topLevel: []string{"cmd", "ingest", "ledger", "campaigns", "cache", "loadtest", "deploy", ".ci"},
}
