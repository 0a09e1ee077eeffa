//go:build linux

package mutants

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"spillway/deploy/onebox"
	"spillway/loadtest"
	"spillway/loadtest/audit"
	"spillway/loadtest/chaos"
	"spillway/loadtest/rig"
	"spillway/loadtest/stripesim"
)

// Day rehearses a small day with money on `up`: gifts in three currencies, some cards
// declined, events told twice, gifts given back. The unbroken program sends and
// judges, so that the judge shares no mutation with the judged.
type Day struct {
	Name   string
	Args   []string // further flags of the rehearsal
	Breaks []string // "I1", ...; any of them will do
	Named  bool     // a donation has to be named
	Kept   bool     // nothing is given back: the events that tell of it are lost
}

func (d Day) String() string { return strings.TrimSpace("day " + d.Name) }

// Bounds of a day.
const (
	// dayGifts come at dayEvery; there are 300 probes beside them.
	dayGifts = 300
	dayEvery = 20 * time.Millisecond
	// dayRefunds are given back, half of them whole, once so many were charged.
	dayRefunds = 8
	// dayWait bounds a day on a busy machine: the start, six seconds of gifts, and claims
	// that lapse after 45 s.
	dayWait = 8 * time.Minute
)

// dayMoney is what each campaign of the day takes, and its smallest gift: two currencies
// of cents, and one without.
var dayMoney = []struct {
	campaign, currency string
	leastMinor         int64
}{{"river", "USD", 100}, {"shrine", "JPY", 100}, {"bridge", "EUR", 100}}

// Run implements Check.
func (d Day) Run(ctx context.Context, e Env, overlay string) (err error) {
	ctx, cancel := context.WithTimeout(ctx, dayWait)
	defer cancel()
	programs := rig.Programs{Spillway: e.Judge}
	if overlay != "" {
		if programs, err = e.programs(ctx, overlay); err != nil {
			return err
		}
	}
	r, err := rig.New(programs)
	if err != nil {
		return err
	}
	defer func() {
		if closing := r.Close(false); err == nil {
			err = closing
		}
	}()
	// What the roles of a day say is said at this level; `up` alone says less.
	r.UpArgs = []string{"--pace", "500", "--log-level", "info"}
	if err := r.StartUp(ctx); err != nil {
		return err
	}
	v, err := d.rehearse(ctx, r, e)
	if err != nil {
		return err
	}
	if v.Holds() {
		return everythingTested(v)
	}
	return finding(v, v.Tail, d.Breaks, d.Named)
}

// everythingTested says which claims a proof that holds did not look at: a busy machine
// may be too late for some of them.
func everythingTested(v *chaos.Verdict) error {
	for _, c := range v.Report.Audit.Checks {
		if c.Verdict() == audit.Untested {
			return fmt.Errorf("%w: %s: %s", errUntested, c.Invariant, c.Claim)
		}
	}
	return nil
}

var errUntested = errors.New("a day left something untested")

// rehearse has the unbroken program send and judge.
func (d Day) rehearse(ctx context.Context, r *rig.Rig, e Env) (*chaos.Verdict, error) {
	gifts, report := filepath.Join(r.Dir, "gifts.csv"), filepath.Join(r.Dir, "report.json")
	if err := os.WriteFile(gifts, dayRows(), 0o600); err != nil {
		return nil, err
	}
	p, err := r.Begin(rig.Command{Name: "rehearse", Path: e.Judge, Log: filepath.Join(r.Dir, "rehearse.log"), Args: append([]string{
		"rehearse", "--data", r.DataDir, "--run", "day", "--replay", gifts, "--json", report, "--html", filepath.Join(r.Dir, "report.html"),
		"--record", filepath.Join(r.Dir, "record"), "--logs", r.LogPath(rig.RoleUp), "--charging", "on", "--charge-patience", "90s",
		"--declines", "20%", "--webhooks", "twice=20%",
	}, d.Args...)})
	if err != nil {
		return nil, err
	}
	if !d.Kept {
		if err := giveBack(ctx, r, p.Done()); err != nil {
			return nil, fmt.Errorf("give some gifts back: %w; the rehearsal says:\n%s", err, p.Tail())
		}
	}
	select {
	case <-p.Done():
	case <-ctx.Done():
		return nil, fmt.Errorf("the rehearsal of %s: %w; it says:\n%s", d, ctx.Err(), p.Tail())
	}
	v := &chaos.Verdict{ExitCode: p.ExitCode(), Tail: p.Tail()}
	if v.Raw, err = os.ReadFile(report); err != nil {
		return nil, fmt.Errorf("the rehearsal ended with status %d: %w; it says:\n%s", v.ExitCode, err, v.Tail)
	}
	v.Report = loadtest.Report{}
	return v, json.Unmarshal(v.Raw, &v.Report)
}

// dayRows is the day as a file to be replayed.
func dayRows() []byte {
	b := []byte("offset_ms,campaign,amount_minor,currency\n")
	for n := range dayGifts {
		m := dayMoney[n%len(dayMoney)]
		b = fmt.Appendf(b, "%d,%s,%d,%s\n", dayEvery.Milliseconds()*int64(n), m.campaign, m.leastMinor+int64(n*7), m.currency)
	}
	return b
}

// giveBack gives some charges back at the processor, as an organiser does on its own
// pages: our books learn of it by events. It does nothing once the rehearsal has ended.
func giveBack(ctx context.Context, r *rig.Rig, ended <-chan struct{}) error {
	run, err := onebox.ReadRun(r.DataDir)
	if err != nil {
		return err
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	var charged []stripesim.ChargeLine
	for len(charged) < dayRefunds {
		select {
		case <-ended:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		books, err := readBooks(ctx, run.SimulatorURL)
		if err != nil {
			return err
		}
		charged = charged[:0]
		for _, c := range books.Charges {
			if c.Status == "succeeded" {
				charged = append(charged, c)
			}
		}
	}
	for n, c := range charged[:dayRefunds] {
		form := url.Values{"charge": {c.ID}}
		if n%2 == 0 && c.Currency == "usd" { // the others are given back whole
			form.Set("amount", "37")
		}
		if err := refundAt(ctx, run.SimulatorURL, form); err != nil {
			return err
		}
	}
	for n, c := range charged[:dayRefunds] {
		for n%2 == 1 { // until its donor is told so
			status, err := rig.Get(ctx, r.URL()+"/v1/donations/"+c.Donation)
			if err == nil && bytes.Contains(status, []byte(`"refunded"`)) {
				break
			}
			select {
			case <-ended:
				return errLate
			case <-ctx.Done():
				return ctx.Err()
			case <-tick.C:
			}
		}
	}
	return nil
}

// errLate says that this machine is too busy to show anything.
var errLate = errors.New("the rehearsal ended before what was given back was booked")

func readBooks(ctx context.Context, simulator string) (*stripesim.Books, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, simulator+"/sim/books", nil)
	if err != nil {
		return nil, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	return stripesim.ReadBooks(answer.Body)
}

// simulatorKey is any: the simulator of `up` has no accounts.
const simulatorKey = "sk_test_spillway_simulator"

func refundAt(ctx context.Context, simulator string, form url.Values) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, simulator+"/v1/refunds", strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+simulatorKey)
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("refund at the simulator: %s", answer.Status)
	}
	return nil
}
