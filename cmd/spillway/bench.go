package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"spillway/campaigns"
	campaignsdb "spillway/campaigns/postgres"
	"spillway/cmd/spillway/internal/config"
	"spillway/deploy/onebox"
	"spillway/loadtest/bench"
)

type benchCommand struct{ config.Bench }

// Help is shown by --help.
func (benchCommand) Help() string {
	return `Measures acknowledgements, reads, the whole way to Postgres, a drain and latencies against ceilings taken in the same run on this machine, with wrk as the generator, and holds the medians against the project's bars. Nothing else should run meanwhile. The whole takes about 35 minutes.

Examples:
    spillway bench --json loadtest/results/bars.json
    spillway bench --only acks,totals --repeats 3
    spillway bench --only shards --repeats 3`
}

// Run measures; its exit status is 0 only when every bar holds.
func (c *benchCommand) Run(p *process) error {
	if c.Serve != "" {
		return bench.Serve(p.ctx, c.Serve, c.ServeListen, c.ServeBytes)
	}
	report, err := bench.Run(p.ctx, bench.Config{
		Dir: c.Data, Repeats: c.Repeats, Short: c.Short, Sustained: c.Sustained, Offered: c.Offered, Only: c.Only, Progress: p.stderr,
	}, bench.Hooks{Running: runningUp, PutCampaigns: putBenchCampaigns, Rehearse: rehearseOffered})
	if report != nil {
		err = errors.Join(err, report.WriteTable(p.stdout))
		if c.JSON != "" {
			err = errors.Join(err, writeReport(c.JSON, report))
		}
	}
	if err != nil {
		return err
	}
	if !report.Held() {
		return exitStatus(exitFailed)
	}
	return nil
}

func writeReport(path string, report *bench.Report) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(report.WriteJSON(f), f.Close())
}

// runFilePatience is how long after an `up` takes donations it may take to write
// where everything is: the processor's address comes last.
const runFilePatience = 30 * time.Second

// runningUp finds the `up` of a data folder, which takes donations already.
func runningUp(data string) (bench.Running, error) {
	run, err := onebox.ReadRun(data)
	for deadline := time.Now().Add(runFilePatience); errors.Is(err, onebox.ErrNotRunning) && time.Now().Before(deadline); {
		time.Sleep(readyPoll)
		run, err = onebox.ReadRun(data)
	}
	if err != nil {
		return bench.Running{}, err
	}
	secrets, err := readSecrets(run.SecretsFile)
	if err != nil {
		return bench.Running{}, err
	}
	return bench.Running{HTTP: run.HTTPURL, Ops: run.OpsURL, Nats: run.NATSURL, Database: run.DatabaseURL, Credential: secrets.RehearsalCredential()}, nil
}

// putBenchCampaigns creates open rehearsal campaigns slug1 to slugN.
func putBenchCampaigns(ctx context.Context, databaseURL, slug string, n int) error {
	store, err := campaignsdb.Open(campaignsdb.Config{URL: databaseURL})
	if err != nil {
		return err
	}
	defer store.Close()
	all := make([]*campaigns.Campaign, n)
	for i := range all {
		all[i] = &campaigns.Campaign{
			Slug: fmt.Sprintf("%s%d", slug, i+1), Name: fmt.Sprintf("Measurement %d", i+1),
			Currency: "USD", StartsAt: time.Now().Add(-time.Hour).UTC(), Rehearsal: true,
		}
	}
	_, err = store.Put(ctx, all...)
	return err
}

// rehearseOffered runs `spillway rehearse` beside the service, as an operator would.
func rehearseOffered(ctx context.Context, data string, rate int, d time.Duration) (bench.Offered, error) {
	self, err := os.Executable()
	if err != nil {
		return bench.Offered{}, err
	}
	dir, err := os.MkdirTemp("", "spillway-offered-")
	if err != nil {
		return bench.Offered{}, err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "report.json")
	out, err := exec.CommandContext(ctx, self, "rehearse", "--data", data, "--rate", fmt.Sprint(rate), "--for", d.String(),
		"--run", fmt.Sprintf("offered-%d", time.Now().UnixNano()), "--record", filepath.Join(dir, "record"), "--json", file).CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return bench.Offered{}, err
	}
	content, readErr := os.ReadFile(file)
	if readErr != nil {
		return bench.Offered{}, fmt.Errorf("rehearse: %w: %s", errors.Join(err, readErr), out)
	}
	type spread struct {
		P50 time.Duration `json:"p50_ns"`
		P99 time.Duration `json:"p99_ns"`
	}
	var r struct {
		Sending struct {
			Accepted int64   `json:"accepted"`
			Rate     float64 `json:"ack_rate"`
			Latency  spread  `json:"latency"`
			Lateness spread  `json:"lateness"`
		} `json:"sending"`
		Watching struct {
			Lag spread `json:"lag"`
		} `json:"watching"`
	}
	if err := json.Unmarshal(content, &r); err != nil {
		return bench.Offered{}, err
	}
	return bench.Offered{
		AckP50: r.Sending.Latency.P50, AckP99: r.Sending.Latency.P99,
		LagP50: r.Watching.Lag.P50, LagP99: r.Watching.Lag.P99,
		LatenessP99: r.Sending.Lateness.P99, AchievedPerSecond: r.Sending.Rate, Acknowledged: r.Sending.Accepted,
		Proven: exit == nil, // rehearse's exit status is 0 only when the proof holds
	}, nil
}
