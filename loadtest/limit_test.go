package loadtest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"spillway/ingest"
	"spillway/loadtest/bare"
	"spillway/loadtest/gift"
	"spillway/loadtest/timeline"
	"spillway/loadtest/trace"
)

// asBare makes the test binary a target that only answers, until its standard input ends.
const asBare = "TEST_BINARY_IS_BARE"

func serveBare() error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // an end is an end
		stop()
	}()
	fmt.Println("http://" + ln.Addr().String())
	return bare.Serve(ctx, ln)
}

// startBareChild starts it.
func startBareChild(t *testing.T) (url string) {
	t.Helper()
	c := exec.Command(os.Args[0])
	c.Env, c.Stderr = append(os.Environ(), asBare+"=yes"), os.Stderr
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(in.Close(), c.Wait()); err != nil {
			t.Error(err)
		}
	})
	url, err = bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(url)
}

func TestMeasureLimit(t *testing.T) {
	t.Parallel()
	url := startBareChild(t)
	l, err := MeasureLimit(t.Context(), url, 8, 2000)
	if err != nil {
		t.Fatal(err)
	}
	if l.Requests != 2000 || l.Rate <= 0 || l.CostMicros <= 0 || l.Cores < 1 || math.Abs(l.Rate*l.For.Seconds()-2000) > 1 {
		t.Errorf("%+v", l)
	}
	if _, err := MeasureLimit(t.Context(), url, 8, -1); !errors.Is(err, ErrConfig) {
		t.Error(err)
	}
}

// TestBare_AnswersAsAFrontEnd: the generator reads the bare target's 202 the quick way, as
// a front-end's, and finds nothing wrong with it but the token.
func TestBare_AnswersAsAFrontEnd(t *testing.T) {
	t.Parallel()
	run, err := gift.NewRun("bare", "source", [32]byte{})
	if err != nil {
		t.Fatal(err)
	}
	for n := range int64(200) {
		ref := gift.Ref{Kind: gift.Row, Number: n + 1}
		g := run.Make(ref, "EUR", []ingest.Line{{Campaign: "a", AmountMinor: 500 + n}, {Campaign: "b", AmountMinor: 7}})
		var ctx fasthttp.RequestCtx
		ctx.Request.Header.SetMethod(fasthttp.MethodPost)
		ctx.Request.Header.SetBytesV("Idempotency-Key", run.AppendKey(nil, ref))
		ctx.Request.SetBody(g.AppendJSON(nil))
		bare.Answer(&ctx)
		var a accepted
		if status := ctx.Response.StatusCode(); status != 202 || !a.scan(ctx.Response.Body(), g.ID.String(), &g) {
			t.Fatalf("%d %s", status, ctx.Response.Body())
		}
		if wrong := a.check(ctx.Response.Body(), &g); !strings.Contains(wrong, "token is for another content") {
			t.Fatalf("%s: %q", ctx.Response.Body(), wrong)
		}
	}
	var ctx fasthttp.RequestCtx
	bare.Answer(&ctx)
	if status := ctx.Response.StatusCode(); status != 200 {
		t.Errorf("a page: %d", status)
	}
}

// TestMeasureLimit_CostsAtMostTwoAndAHalfTimesWrk has both send donations to the same
// target in turn, and compares the CPU that each takes for a request; then has the
// generator offer rates up to its own limit, and wants what was planned.
//
//	go test ./loadtest -run TestMeasureLimit_Costs -v -capacity
func TestMeasureLimit_CostsAtMostTwoAndAHalfTimesWrk(t *testing.T) {
	if !*measuring {
		t.Skip("-capacity measures on a quiet machine")
	}
	wrk, err := exec.LookPath("wrk")
	if err != nil {
		t.Skip("wrk is not installed: sudo apt-get install -y wrk")
	}
	url := startBareChild(t)
	const connections, rounds, most = 256, 5, 2.5
	var ratios, limits []float64
	for round := range rounds {
		theirs := func() float64 { return wrkMicros(t, wrk, url, connections) }
		ours := func() float64 {
			l, err := MeasureLimit(t.Context(), url, connections, 150_000)
			if err != nil {
				t.Fatal(err)
			}
			limits = append(limits, l.Rate)
			t.Log(l)
			return l.CostMicros
		}
		var a, b float64
		if round%2 == 0 { // neither always comes first
			a, b = ours(), theirs()
		} else {
			b, a = theirs(), ours()
		}
		t.Logf("round %d: %.1f µs for a request, wrk %.1f µs: %.2f times", round+1, a, b, a/b)
		ratios = append(ratios, a/b)
	}
	slices.Sort(ratios)
	slices.Sort(limits)
	if ratio := ratios[rounds/2]; ratio > most {
		t.Errorf("%.2f times wrk's CPU for a request, want at most %.1f", ratio, most)
	} else {
		t.Logf("%.2f times wrk's CPU for a request (median of %d)", ratio, rounds)
	}
	for _, part := range []float64{0.25, 0.5, 0.75, 0.9} {
		rate := math.Floor(limits[rounds/2] * part)
		s := offer(t, url, rate, 4*time.Second, connections)
		offered := float64(s.Sent-1) / s.For.Seconds()
		t.Logf("%.0f/s planned (%.0f %% of the limit): offered %.1f/s, own lateness p99 %v, acked %.0f/s", rate, part*100, offered, s.Lateness.P99, s.AckRate)
		if s.Sent != s.Planned || math.Abs(offered/rate-1) > 0.01 {
			t.Errorf("%.0f/s planned, offered %.1f/s, %d of %d sent", rate, offered, s.Sent, s.Planned)
		}
	}
}

// wrkMicros is wrk's CPU for a request, in microseconds.
func wrkMicros(t *testing.T, wrk, url string, connections int) float64 {
	t.Helper()
	c := exec.CommandContext(t.Context(), wrk, "-t1", "-c"+strconv.Itoa(connections), "-d4s", "--latency", "-s", filepath.Join("bench", "donate.lua"), url+"/v1/donations", "--",
		"wrk-beside-us-", "slug", "10", "credential")
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	m := regexp.MustCompile(`(\d+) requests in`).FindSubmatch(out)
	if m == nil || strings.Contains(string(out), "Non-2xx") {
		t.Fatalf("wrk: %s", out)
	}
	requests, err := strconv.ParseFloat(string(m[1]), 64)
	if err != nil {
		t.Fatal(err)
	}
	cpu := c.ProcessState.UserTime() + c.ProcessState.SystemTime()
	return float64(cpu.Microseconds()) / requests
}

// offer sends at a steady rate.
func offer(t *testing.T, url string, rate float64, span time.Duration, connections int) Sending {
	t.Helper()
	source, err := trace.NewProfile(trace.ProfileConfig{Rate: rate, For: span})
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{Run: "offer", Source: source, Target: url, Connections: connections, Record: filepath.Join(t.TempDir(), "record")}
	if err := cfg.fill(); err != nil {
		t.Fatal(err)
	}
	r := &rehearsal{cfg: &cfg, deps: &Deps{}, shown: newDisplay(nil), line: timeline.New(), report: &Report{}}
	if err := r.open(); err != nil {
		t.Fatal(err)
	}
	defer r.reader.close()
	cpu, err := r.burst(t.Context())
	if err := errors.Join(err, r.writer.Close()); err != nil {
		t.Fatal(err)
	}
	return r.engine.meter.report(source.Rows(), cpu)
}
