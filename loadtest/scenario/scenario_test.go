package scenario

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
)

const least = "name: x\narrivals: {rate: 1, for: 1s}\n"

func TestReady_AllAreListedAndNamedAsTheirFiles(t *testing.T) {
	files, err := ready.ReadDir("ready")
	if err != nil || len(files) != len(order) {
		t.Fatalf("%d files, %d listed, %v", len(files), len(order), err)
	}
	for _, name := range Names() {
		s, err := Ready(name)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if s.Name != name || s.Description == "" || len(s.Description) > 90 {
			t.Errorf("%s: name %q, description %q", name, s.Name, s.Description)
		}
		if s.Levels.AckP99 == 0 || s.Levels.Errors == nil || s.Levels.StalenessP99 == 0 || s.Levels.Drain == 0 {
			t.Errorf("%s: levels %+v, want all of them", name, s.Levels)
		}
	}
	if _, err := Ready(Default); err != nil {
		t.Error(err)
	}
	if _, err := Ready("nope"); !errors.Is(err, ErrUnknown) {
		t.Error(err)
	}
}

func TestDecode_WhatDoesNotFitIsToldWithItsLine(t *testing.T) {
	cases := map[string]string{
		least + "donors:\n  lok: 5%\n":                              "line 4: donors.lok: is not known; did you mean look?",
		least + "visits:\n  declines: 5%\n":                         "line 4: visits.declines: is not known; there is charging.declines",
		least + "qqqqqqqq: 1\n":                                     "the file has name, description",
		least + "campaigns: {count: 0}\n":                           "line 3: campaigns.count: 0 is not between 1 and 100000",
		least + "campaigns: {count: 1.5}\n":                         `line 3: campaigns.count: "1.5" is not a whole number`,
		least + "donors: {look: 120%}\n":                            `line 3: donors.look: "120%" is not from 0% to 100%`,
		least + "donors: {look: [5%]}\n":                            "line 3: donors.look: want one value",
		least + "donors: 5\n":                                       "line 3: donors: want keys and values",
		least + "visits: {think: 5}\n":                              `visits.think: "5" is not a time with its unit`,
		least + "visits: {think: 5s, think: 6s}\n":                  "visits.think: is in line 3 already",
		least + "visits: {stream: 60%, poll: 50%}\n":                "together are more than 100%",
		least + "charging: {wait: maybe}\n":                         `"maybe" is none of auto, on, off`,
		least + "charging: {storms: {for: 3s}}\n":                   "every is longer",
		least + "faults: {steps: [{at: 5s, dont: kill}]}\n":         "faults.steps[0].dont: is not known",
		least + "faults: {plan: 20s paint ledger}\n":                "faults: ",
		least + "seed: 5\nfaults: {seed: 6, plan: everything}\n":    "one of them",
		least + "seed: 1.5\n":                                       `line 3: seed: "1.5" is not a whole number`,
		least + "---\nname: y\n":                                    "here is another",
		"name: X Y\narrivals: {rate: 1, for: 1s}\n":                 `"X Y" does not look like`,
		"arrivals: {rate: 1, for: 1s}\n":                            "name: is missing",
		"name: x\n":                                                 "say what comes",
		"name: x\narrivals: {rate: 1, for: 1s, replay: a.csv}\n":    "do not go together",
		"name: x\narrivals: {rate: 1}\n":                            "arrivals.for: is missing",
		"name: x\narrivals: {rate: 1, for: 1s, speed: 2}\n":         "belong to replay",
		"name: x\narrivals: {replay: a.csv, for: 1s}\n":             "use speed",
		"name: &n x\ndescription: *n\n":                             "line 2: description: an alias",
		"":                                                          "it is empty",
		"name: [":                                                   "line 1",
		least + "description: " + strings.Repeat("x", FileBytesMax): "more than 1048576 bytes",
	}
	for text, want := range cases {
		_, err := Decode([]byte(text))
		if !errors.Is(err, ErrScenario) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80q: %v\nwant %s", text, err, want)
		}
	}
}

func TestDecode_AllFaultsOfAFileAreToldAtOnceUpToABound(t *testing.T) {
	_, err := Decode([]byte(least + "donors: {lok: 1}\nreaders: {per_git: 1}\n"))
	if err == nil || strings.Count(err.Error(), "did you mean") != 2 {
		t.Error(err)
	}
	var many strings.Builder
	for i := range faultsTold + 5 {
		many.WriteString("k" + strings.Repeat("q", 30+i) + ": 1\n")
	}
	if _, err := Decode([]byte(many.String())); err == nil || !strings.Contains(err.Error(), "and 5 more") {
		t.Error(err)
	}
}

func TestLoad_AReplayIsRelativeToItsFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "own.yaml")
	text := "name: own\narrivals: {replay: day.csv.gz, speed: 10, copies: 3}\nvisits: {think: 90s, stream: 25%}\nfaults: {plan: 20s kill ledger}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Load(file)
	if err != nil {
		t.Fatal(err)
	}
	if s.Arrivals.Replay != filepath.Join(filepath.Dir(file), "day.csv.gz") || s.Arrivals.Copies != 3 || s.Visits.Think != 90*time.Second ||
		s.Visits.Stream != 0.25 || s.Faults.Empty() {
		t.Errorf("%+v", s)
	}
	if _, err := Load(file + ".yaml"); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

// TestSchema_IsTheSameContractAsDecode holds both against each other key by key: the
// schema has every field, and the patterns and bounds in it accept what Decode accepts.
func TestSchema_IsTheSameContractAsDecode(t *testing.T) {
	var root schema
	if err := json.Unmarshal(Schema(), &root); err != nil {
		t.Fatal(err)
	}
	var compare func(s *schema, of reflect.Type, path string)
	leaves := 0
	compare = func(s *schema, of reflect.Type, path string) {
		known := fieldsOf(of)
		if s.Additional == nil || *s.Additional || len(s.Properties) != len(known) {
			t.Errorf("%s: %d properties, want %d and no others", path, len(s.Properties), len(known))
		}
		for _, f := range known {
			p := s.Properties[f.key]
			switch {
			case p == nil:
				t.Errorf("%s.%s is not in the schema", path, f.key)
			case f.of.Kind() == reflect.Struct && !isLeaf(f.of):
				compare(p, f.of, path+"."+f.key)
			default:
				leaves++
				if p.Type == nil {
					t.Errorf("%s.%s has no type", path, f.key)
				}
			}
		}
	}
	compare(&root, reflect.TypeFor[Scenario](), "")
	if leaves < 30 {
		t.Errorf("%d leaves compared", leaves)
	}
	for text, fits := range map[string]bool{"5%": true, "0.5%": true, "0.05": true, "x": false, "-1%": false} {
		var s Share
		if ok := s.UnmarshalText([]byte(text)) == nil; ok != fits || regexp.MustCompile(sharePattern).MatchString(text) != fits {
			t.Errorf("share %q: want %v of both", text, fits)
		}
	}
	for text, fits := range map[string]bool{"5s": true, "1m30s": true, "1.5h": true, "5": false, "": false, "s": false} {
		_, err := time.ParseDuration(text)
		if (err == nil) != fits || regexp.MustCompile(durationPattern).MatchString(text) != fits {
			t.Errorf("duration %q: want %v of both", text, fits)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, name := range Names() {
		text, err := Text(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte("visits: &a {day: *a}\na: &a {b: *a}\n"))
	f.Add([]byte(least + "faults: {steps: [{every: 5s, one_of: [{do: kill, what: ledger}]}]}\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := Decode(text)
		if (s == nil) == (err == nil) || err != nil && !errors.Is(err, ErrScenario) {
			t.Errorf("%v and %v", s, err)
		}
		if err == nil && s.Validate() != nil {
			t.Error("decoded, and does not validate")
		}
	})
}
