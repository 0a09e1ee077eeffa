package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"spillway/cmd/spillway/internal/config"
	"spillway/loadtest/trace"
)

// parsed parses a command line of `rehearse`.
func parsed(t *testing.T, args ...string) *rehearseCommand {
	t.Helper()
	var cli commands
	parser, err := kong.New(&cli, kong.Name("spillway"), kong.Vars{"data_default": "", "pace_endpoint": ""}, kong.Vars(capacityDefaults()), kong.DefaultEnvars(config.Prefix))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse(append([]string{"rehearse"}, args...)); err != nil {
		t.Fatal(err)
	}
	return &cli.Rehearse
}

// asked parses a command line of `rehearse` and sets the rehearsal up.
func asked(t *testing.T, args ...string) (*rehearseRunCommand, error) {
	t.Helper()
	c := &parsed(t, args...).Run
	return c, c.setUp()
}

func TestRehearse_FlagsWinOverTheScenario(t *testing.T) {
	file := filepath.Join(t.TempDir(), "own.yaml")
	text := "name: own\nseed: 5\narrivals: {rate: 7, shape: ramp, for: 3s}\ncampaigns: {count: 9, hot: 30%}\ndonors: {patience: 20s, look: 50%, baskets: 20%}\nreaders: {per_gift: 2}\nvisits: {think: 4s, stream: 20%}\n" +
		"charging: {wait: \"on\", pace: 40, declines: 5%, storms: {for: 1s, every: 9s}, webhooks: {late: 10%}}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := asked(t, "--scenario", file)
	if err != nil {
		t.Fatal(err)
	}
	if c.Rate != 7 || c.For != 3*time.Second || c.Campaigns != 9 || c.Patience != 20*time.Second || c.Charging != chargingOn || c.Pace != 40 ||
		c.Declines != 0.05 || c.Storms != (storms{time.Second, 9 * time.Second}) || c.Webhooks.late != 0.1 || c.Speed != 1 || c.Drain != 2*time.Minute {
		t.Errorf("from the file: %+v", c)
	}
	if c.Seed != 5 || c.Hot != 0.3 || c.Baskets != 0.2 || c.Shape != "ramp" {
		t.Errorf("what gifts are like, from the file: %+v", c)
	}
	if h := c.visitors(); h.Look != 0.5 || h.PerGift != 2 || h.Think != 4*time.Second || h.Stream != 0.2 || h.Poll != 0 {
		t.Errorf("visits from the file: %+v", h)
	}
	t.Setenv("SPILLWAY_DECLINES", "1%")
	if c, err = asked(t, "--scenario", file, "--rate", "8", "--pace=250", "--campaigns", "500", "--readers", "7", "--seed", "6", "--hot", "0%"); err != nil {
		t.Fatal(err)
	}
	if c.Seed != 6 || c.Hot != 0 || c.Shape != "ramp" || c.Rate != 8 || c.For != 3*time.Second || c.Pace != 250 || c.Campaigns != 500 || c.Declines != 0.01 || c.visitors().PerGift != 7 {
		t.Errorf("flags and environment beside the file: %+v", c)
	}
	if c, err = asked(t, "--scenario", file, "--replay", "day.csv"); err != nil {
		t.Fatal(err)
	}
	if c.Rate != 0 || c.For != 0 || !strings.HasSuffix(c.Replay, "day.csv") || c.Pace != 40 {
		t.Errorf("another source in place of the file's: %+v", c)
	}
}

// Two rehearsals that are asked for the same send the same day, whatever they are
// called; another seed is another day.
func TestRehearse_TheSameDayUnlessAnotherSeedIsNamed(t *testing.T) {
	day := func(args ...string) (trace.Source, [32]byte) {
		c, err := asked(t, args...)
		if err == nil {
			err = c.name()
		}
		if err != nil {
			t.Fatal(err)
		}
		source, _, err := c.source()
		if err != nil {
			t.Fatal(err)
		}
		return source, source.Hash()
	}
	one, first := day()
	two, second := day("--run", "another")
	if first != second || one.Name() != two.Name() || !slices.Equal(one.Campaigns(), two.Campaigns()) {
		t.Errorf("%s and %s are not the same day", one.Name(), two.Name())
	}
	if _, other := day("--seed", "2"); other == first {
		t.Error("another seed, the same day")
	}
	if _, plain := day("--baskets", "0%"); plain == first {
		t.Error("no baskets, the same day")
	}
}

func TestRehearse_NothingSaidIsTheDefaultScenario(t *testing.T) {
	c, err := asked(t)
	if err != nil || c.scenario != "quick" || c.Gifts == 0 || c.For == 0 {
		t.Errorf("%v: %+v", err, c)
	}
	for _, args := range [][]string{{"--rate", "5", "--for", "1s"}, {"--target", "http://127.0.0.1:1"}, {"--resume", "--run", "x"}} {
		if c, err := asked(t, args...); err != nil || c.scenario != "" {
			t.Errorf("%v: scenario %q, %v", args, c.scenario, err)
		}
	}
}

func TestRehearseScenarios_ListShowCheckAndSchema(t *testing.T) {
	file := filepath.Join(t.TempDir(), "bad.yaml")
	if err := os.WriteFile(file, []byte("name: x\narivals: {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args   string
		status int
		want   string
	}{
		{"", 0, "evening-broadcast"},
		{"show soak", 0, "name: soak\n"},
		{"show nothing", exitFailed, "no such scenario"},
		{"check quick", 0, "can be rehearsed"},
		{"check " + file, exitFailed, "line 2: arivals: is not known; did you mean arrivals?"},
		{"schema", 0, `"additionalProperties": false`},
	} {
		var stdout, stderr strings.Builder
		status := run(append([]string{"rehearse", "scenarios"}, strings.Fields(c.args)...), nil, &stdout, &stderr)
		if status != c.status || !strings.Contains(stdout.String()+stderr.String(), c.want) {
			t.Errorf("%q: status %d, %s%s", c.args, status, &stdout, &stderr)
		}
	}
}
