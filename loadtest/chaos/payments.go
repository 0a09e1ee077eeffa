//go:build linux

package chaos

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"spillway/ingest/webhook"
	"spillway/loadtest/stripesim"
)

// RoleSimulator is the stand-in for the processor, as a process of its own.
const RoleSimulator = "stripesim"

// Payments names the n-th payments process, from 1.
func Payments(n int) string { return fmt.Sprintf("payments-%d", n) }

// webhookSecret signs events between two processes of one test.
const webhookSecret = "whsec_rig"

// Till says how a rig charges: a simulator that the roles reach over HTTP, and as
// many payments processes as given, which share its pace.
type Till struct {
	Processes int
	// PerSecond is what the simulator allows at an endpoint, and the pace; it allows
	// four times as much in all.
	PerSecond int
	// Faults are flags of `spillway stripesim`, without its address, data, limits,
	// webhooks and seed.
	Faults []string
	Seed   uint64
}

// StartTill starts the simulator and the payments processes beside roles that were
// started on a rig whose Till is set.
func (r *Rig) StartTill(ctx context.Context) error {
	if err := r.StartSimulator(ctx); err != nil {
		return err
	}
	for n := range r.Till.Processes {
		if err := r.StartPayments(ctx, n+1); err != nil {
			return err
		}
	}
	return nil
}

// StartSimulator starts the simulator on its log and waits until it answers.
func (r *Rig) StartSimulator(ctx context.Context) error {
	if r.processorAddress == "" {
		var err error
		if r.processorAddress, err = freeAddress(); err != nil {
			return err
		}
	}
	args := append([]string{
		"stripesim", "--listen", r.processorAddress, "--data", filepath.Join(r.Dir, "stripesim"), "--seed", strconv.FormatUint(r.Till.Seed, 10),
		"--limit-endpoint", strconv.Itoa(r.Till.PerSecond), "--limit-account", strconv.Itoa(4 * r.Till.PerSecond),
		"--webhook-url", r.URL() + webhook.Path, "--webhook-secret", webhookSecret,
	}, r.Till.Faults...)
	if err := r.start(RoleSimulator, r.programs.Spillway, args...); err != nil {
		return err
	}
	return r.until(ctx, RoleSimulator, "answer", func(ctx context.Context) error {
		_, err := get(ctx, r.ProcessorURL()+"/sim/stats")
		return err
	})
}

// StartPayments starts the n-th payments process; it finds its own way to broker,
// database and processor, so nothing is waited for.
func (r *Rig) StartPayments(_ context.Context, n int) error {
	return r.start(Payments(n), r.programs.Spillway, "payments",
		"--simulator", r.ProcessorURL(), "--pace", strconv.Itoa(r.Till.PerSecond),
		"--nats-url", r.BrokerURL(), "--database-url", r.DatabaseURL())
}

// ProcessorURL is the simulator's address.
func (r *Rig) ProcessorURL() string { return "http://" + r.processorAddress }

// frontEndEnv is what a front-end is told of the processor: how its events are signed.
func (r *Rig) frontEndEnv() []string {
	if r.Till == nil {
		return nil
	}
	return []string{"SPILLWAY_STRIPE_WEBHOOK_SECRETS=" + webhookSecret}
}

// Books are the simulator's own.
func (r *Rig) Books(ctx context.Context) (*stripesim.Books, error) {
	document, err := get(ctx, r.ProcessorURL()+"/sim/books")
	if err != nil {
		return nil, err
	}
	return stripesim.ReadBooks(bytes.NewReader(document))
}

// StartTill starts the roles with two of everything that moves money, and a till.
func (t *Trial) StartTill(till Till) Step {
	return func(ctx context.Context) error {
		till.Seed = t.Seed
		t.Logf("start the roles with a till: %d charges/s, %d processes, %s", till.PerSecond, till.Processes, strings.Join(till.Faults, " "))
		t.Rig.Till = &till
		if err := t.Rig.StartRoles(ctx, 2); err != nil {
			return err
		}
		return t.Rig.StartTill(ctx)
	}
}

// Charges waits until the simulator has made so many charges, good or bad: faults meet
// calls under way.
func (t *Trial) Charges(n int64) Step {
	return func(ctx context.Context) error {
		return t.Rig.until(ctx, RoleSimulator, fmt.Sprintf("make %d charges", n), func(ctx context.Context) error {
			document, err := get(ctx, t.Rig.ProcessorURL()+"/sim/stats")
			if err != nil {
				return err
			}
			var s stripesim.Stats
			if err := json.Unmarshal(document, &s); err != nil {
				return err
			}
			if s.Charges < n {
				return fmt.Errorf("%d charges", s.Charges)
			}
			return nil
		})
	}
}

// KillPostgres is kill -9 of the server and of all its backends, as the kernel does
// it when memory is short: the next start redoes the log.
func (r *Rig) KillPostgres() error {
	if err := r.Kill(RolePostgres); err != nil {
		return err
	}
	// Orphans notice the postmaster's death only when they next wait for something,
	// and hold the cluster's memory until then.
	backends, err := Family(r.postgresDir())
	if err != nil {
		return err
	}
	return KillAll(backends...)
}

// KillPostgres takes the database away with kill -9.
func (t *Trial) KillPostgres(context.Context) error {
	t.Logf("kill -9 %s and its backends", RolePostgres)
	return t.Rig.KillPostgres()
}
