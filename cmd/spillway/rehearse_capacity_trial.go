package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	campaigndb "spillway/campaigns/postgres"
	"spillway/ingest/keyring"
	"spillway/loadtest"
	"spillway/loadtest/capacity"
	"spillway/loadtest/capacity/sample"
	"spillway/loadtest/machine"
	"spillway/loadtest/trace"
)

// Bounds of one trial. A rate that is far too high must not take minutes to be so.
const (
	// trialTimeout is when one answer counts as unknown, and trialPatience how long such
	// a donation is sent again.
	trialTimeout  = 5 * time.Second
	trialPatience = 30 * time.Second
	// trialDrain is how long totals may stand still in a trial.
	trialDrain = 20 * time.Second
)

// trials makes one trial after the other against one installation.
type trials struct {
	command *capacityCommand
	p       *process
	screen  *screen
	private *private // nil when the installation is not ours
	place   *place
	where   addresses
	keys    *keyring.Keyring
	store   *campaigndb.Store
	folder  string // of the records
	prefix  string // of the runs' names
	made    int
	cores   int // 0 when the installation is on another machine
}

// open finds or starts the installation.
func (c *capacityCommand) open(p *process, s *screen) (t *trials, err error) {
	var chance [2]byte
	_, _ = rand.Read(chance[:]) // cannot fail (crypto/rand)
	opened := &trials{command: c, p: p, screen: s, prefix: "capacity-" + time.Now().UTC().Format("20060102-150405-") + hex.EncodeToString(chance[:])}
	t = opened
	defer func() {
		if err != nil {
			err = errors.Join(err, opened.close(true))
		}
	}()
	if t.folder, err = os.MkdirTemp("", "spillway-capacity-"); err != nil {
		return nil, err
	}
	// The place is that of a rehearsal which does not charge.
	t.place = &place{log: p.log, command: &rehearseRunCommand{Target: c.Target, Data: c.Data, Broker: c.Broker, Database: c.Database, SecretsFile: c.SecretsFile, Charging: chargingOff}}
	if c.Target == "" && c.Data == "" && c.DatabaseURL == "" {
		t.place.alone = true
		if t.private, err = startPrivate(p, s, t.place.command.privateArgs()...); err != nil {
			return nil, err
		}
		t.place.data = t.private.data
	} else if err := t.place.choose(); err != nil {
		return nil, err
	}
	if t.where, err = t.place.find(); err != nil {
		return nil, err
	}
	if t.keys, err = readSecrets(t.where.secrets); err != nil {
		return nil, fmt.Errorf("the rehearsal's credential: %w", err)
	}
	if t.store, err = t.place.campaigns(); err != nil {
		return nil, err
	}
	if t.place.data != "" {
		t.cores = machine.Here().Cores
	}
	return t, nil
}

// base is the name of the report's files, without what they end in.
func (t *trials) base() string {
	if t.place.data == "" || t.private != nil {
		return filepath.Join(reportsFolder(), t.prefix)
	}
	return filepath.Join(t.place.data, recordsFolder, t.prefix)
}

// close ends what open began; sound tells that every proof held, so that nothing has to
// be kept as evidence.
func (t *trials) close(sound bool) error {
	var err error
	if t.store != nil {
		t.store.Close()
	}
	if t.place != nil {
		t.place.close()
	}
	if t.private != nil {
		err = t.private.end(sound)
	}
	if !sound {
		t.screen.line("The trials' records are kept in " + t.folder)
		return err
	}
	return errors.Join(err, os.RemoveAll(t.folder))
}

// measure makes one trial.
func (t *trials) measure(ctx context.Context, rate float64, levels capacity.Levels) (capacity.Trial, error) {
	c := t.command
	t.made++
	name := fmt.Sprintf("%s-%d", t.prefix, t.made)
	var source trace.Source
	source, err := trace.NewProfile(trace.ProfileConfig{Rate: rate, For: c.Trial, Campaigns: c.Campaigns, Seed: uint64(t.made)}) //nolint:gosec // a small count
	if err == nil && c.mix != (trace.MixConfig{}) {
		source, err = trace.NewMix(source, c.mix)
	}
	if err != nil {
		return capacity.Trial{}, err
	}
	setting := sample.Setting{Cores: t.cores, Connections: c.Connections, Before: t.metrics(ctx)}
	record := filepath.Join(t.folder, name+recordSuffix)
	// Ctrl-C ends the sending and then the search; what was sent is audited.
	report, err := loadtest.Run(context.WithoutCancel(ctx), ctx.Done(), loadtest.Config{
		Run: name, Source: source, Target: t.where.target, Credential: t.keys.RehearsalCredential(), Record: record,
		Connections: c.Connections, Timeout: trialTimeout, Patience: trialPatience, Drain: trialDrain, Watchers: c.Watchers,
	}, loadtest.Deps{Campaigns: t.store, View: t.place.view, Count: t.place.count, Keys: t.keys, Backlog: t.place.backlog(),
		Roles: t.place.roles, Operators: t.place.operators(), Log: t.p.log})
	if err != nil {
		return capacity.Trial{}, err
	}
	if report.Stopped {
		return capacity.Trial{}, context.Canceled
	}
	setting.After = t.metrics(ctx)
	trial := sample.Trial(report, levels, setting)
	if len(trial.Unproven) > 0 {
		return trial, nil // the record is evidence
	}
	return trial, os.Remove(record)
}

// metrics reads the installation's; nil when there are none to be had.
func (t *trials) metrics(ctx context.Context) sample.Metrics {
	ask := t.place.operators()
	if ask == nil {
		return nil
	}
	url, err := ask()
	if err != nil {
		return nil
	}
	m, err := sample.Read(ctx, url)
	if err != nil {
		t.p.log.Debug("metrics", "error", err)
		return nil
	}
	return m
}

// show tells how the search goes: a line that stays for each trial.
func (t *trials) show(now capacity.Progress) {
	switch {
	case now.Last != nil:
		t.screen.line(now.Last.Line())
	default:
		t.screen.say(fmt.Sprintf("%s: trial %d at %.0f donations/s for %s; %s left at most", now.Stage, now.Trials+1, now.Rate, t.command.Trial, now.Left.Round(time.Second)))
	}
}
