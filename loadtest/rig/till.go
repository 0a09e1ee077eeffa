//go:build linux

package rig

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"

	"spillway/ingest/webhook"
	"spillway/loadtest/stripesim"
)

// RoleSimulator is the stand-in for the processor, as a process of its own.
const RoleSimulator = "processor"

// Payments names the n-th payments process, from 1.
func Payments(n int) string { return fmt.Sprintf("payments-%d", n) }

// webhookSecret signs events between two processes of one rig.
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
	// Args are further flags of the payments processes.
	Args []string
	Seed uint64
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
	args := append([]string{
		"stripesim", "--listen", r.processorAddress, "--data", filepath.Join(r.Dir, "stripesim"), "--seed", strconv.FormatUint(r.Till.Seed, 10),
		"--limit-endpoint", strconv.Itoa(r.Till.PerSecond), "--limit-account", strconv.Itoa(4 * r.Till.PerSecond),
		"--webhook-url", r.frontEndFor(RoleSimulator) + webhook.Path, "--webhook-secret", webhookSecret,
	}, r.Till.Faults...)
	if err := r.start(RoleSimulator, r.programs.Spillway, args...); err != nil {
		return err
	}
	return r.Until(ctx, RoleSimulator, "answer", func(ctx context.Context) error {
		_, err := Get(ctx, r.ProcessorURL()+"/sim/stats")
		return err
	})
}

// StartPayments starts the n-th payments process; it finds its own way to broker,
// database and processor, so nothing is waited for.
func (r *Rig) StartPayments(_ context.Context, n int) error {
	return r.start(Payments(n), r.programs.Spillway, append([]string{"payments",
		"--simulator", r.processorFor(Payments(n)), "--pace", strconv.Itoa(r.Till.PerSecond),
		"--nats-url", r.brokerFor(Payments(n)), "--database-url", r.databaseFor(Payments(n))}, slices.Concat(r.Till.Args, r.replicas())...)...)
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
	document, err := Get(ctx, r.ProcessorURL()+"/sim/books")
	if err != nil {
		return nil, err
	}
	return stripesim.ReadBooks(bytes.NewReader(document))
}
