package bench

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Connections is wrk's -c: enough that envelopes fill, few enough for one generator thread.
const Connections = 256

// ErrNoWrk says that the generator is not installed.
var ErrNoWrk = errors.New("wrk is not installed; install it (Debian: sudo apt-get install -y wrk; macOS: brew install wrk) and run again")

//go:embed donate.lua
var donateLua []byte

// wrkResult is what one run of wrk counted.
type wrkResult struct {
	Requests int64         // answered
	Refused  int64         // answered with neither 2xx nor 3xx
	Errors   int64         // connect, read, write and time-out errors
	Elapsed  time.Duration // wrk's own measure
	P99      time.Duration
}

// good is the number of requests answered with 2xx.
func (r wrkResult) good() int64 { return r.Requests - r.Refused }

// perSecond is the rate of good answers.
func (r wrkResult) perSecond() float64 { return float64(r.good()) / r.Elapsed.Seconds() }

// generator runs wrk with one thread against one URL.
type generator struct {
	bin    string
	script string // path of donate.lua
}

// newGenerator finds wrk and lays its script into dir. Errors: ErrNoWrk.
func newGenerator(dir string) (*generator, error) {
	bin, err := exec.LookPath("wrk")
	if err != nil {
		return nil, ErrNoWrk
	}
	script := filepath.Join(dir, "donate.lua")
	if err := os.WriteFile(script, donateLua, 0o600); err != nil {
		return nil, fmt.Errorf("write wrk's script: %w", err)
	}
	return &generator{bin: bin, script: script}, nil
}

// load is what donate.lua needs to know.
type load struct {
	run        string // key prefix; with the counter behind it a key is unique
	slug       string // campaigns are slug1 .. slugN
	campaigns  int
	credential string
}

// donate posts donations for d to url+"/v1/donations".
func (g *generator) donate(ctx context.Context, url string, d time.Duration, l load) (wrkResult, error) {
	return g.run(ctx, d, "-s", g.script, url+"/v1/donations", "--", l.run, l.slug, strconv.Itoa(l.campaigns), l.credential)
}

// get reads url for d.
func (g *generator) get(ctx context.Context, url string, d time.Duration) (wrkResult, error) {
	return g.run(ctx, d, url)
}

func (g *generator) run(ctx context.Context, d time.Duration, args ...string) (wrkResult, error) {
	base := []string{"-t1", "-c" + strconv.Itoa(Connections), "-d" + strconv.Itoa(int(d.Seconds())) + "s", "--timeout", "10s", "--latency"}
	out, err := exec.CommandContext(ctx, g.bin, append(base, args...)...).CombinedOutput()
	if err != nil {
		return wrkResult{}, fmt.Errorf("wrk: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return parseWrk(string(out))
}

var (
	wrkRequests = regexp.MustCompile(`(\d+) requests in ([0-9.]+)(us|ms|s|m)`)
	wrkRefused  = regexp.MustCompile(`Non-2xx or 3xx responses: (\d+)`)
	wrkErrors   = regexp.MustCompile(`Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)`)
	wrkP99      = regexp.MustCompile(`(?m)^\s*99%\s+([0-9.]+)(us|ms|s|m)`)
)

// parseWrk reads wrk's report for people, the only one that it prints.
func parseWrk(out string) (wrkResult, error) {
	m := wrkRequests.FindStringSubmatch(out)
	if m == nil {
		return wrkResult{}, fmt.Errorf("wrk printed no result: %q", out)
	}
	var r wrkResult
	r.Requests, _ = strconv.ParseInt(m[1], 10, 64)
	r.Elapsed = wrkDuration(m[2], m[3])
	if m := wrkRefused.FindStringSubmatch(out); m != nil {
		r.Refused, _ = strconv.ParseInt(m[1], 10, 64)
	}
	if m := wrkErrors.FindStringSubmatch(out); m != nil {
		for _, n := range m[1:] {
			v, _ := strconv.ParseInt(n, 10, 64)
			r.Errors += v
		}
	}
	if m := wrkP99.FindStringSubmatch(out); m != nil {
		r.P99 = wrkDuration(m[1], m[2])
	}
	if r.Elapsed <= 0 {
		return wrkResult{}, fmt.Errorf("wrk printed no time: %q", out)
	}
	return r, nil
}

func wrkDuration(number, unit string) time.Duration {
	v, _ := strconv.ParseFloat(number, 64)
	scale := map[string]time.Duration{"us": time.Microsecond, "ms": time.Millisecond, "s": time.Second, "m": time.Minute}[unit]
	return time.Duration(v * float64(scale))
}
