package main

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"spillway/campaigns/status"
	"spillway/cmd/spillway/internal/config"
	"spillway/ingest/broker"
	"spillway/loadtest"
)

// consoles tell organisers how a rehearsal goes: once a second, by the way on which every
// process tells how it does. It is news; a broker that is away, or was never named, has
// nobody told and does not disturb the rehearsal.
type consoles struct {
	link  *broker.Broker // nil when nobody is told
	log   *slog.Logger
	stop  context.CancelFunc
	ended sync.WaitGroup

	mu     sync.Mutex
	report status.Report
}

// tellConsoles begins to tell those of a running installation; nobody looks at the
// console of one that is the rehearsal's own.
func (c *rehearseRunCommand) tellConsoles(ctx context.Context, p *process, at *place, planned int64) *consoles {
	t := &consoles{log: p.log, stop: func() {}}
	where, err := at.find()
	if err != nil || at.alone || where.nats == "" {
		return t
	}
	named := c.Broker
	named.NATSURL = config.Secret(where.nats)
	// Nothing but core messages goes over it: the number of shards does not matter.
	cfg := brokerAt(named, config.Topology{Replicas: 1, Shards: 1}, nil, "spillway rehearse "+nodeName())
	bounded, cancel := context.WithTimeout(ctx, backlogTimeout)
	defer cancel()
	if t.link, err = broker.Connect(bounded, cfg, p.log); err != nil {
		p.log.Debug("consoles are not told of the rehearsal", "error", err)
		t.link = nil
		return t
	}
	t.report = status.Report{Node: nodeName(), Build: build(), StartedAt: time.Now().UTC(), Roles: []status.Role{status.ReadyRole(status.RehearsalRole, nil)},
		Rehearsal: &status.Rehearsal{Run: c.RunName, Scenario: c.scenario, Phase: "beginning", Planned: planned}}
	ctx, t.stop = context.WithCancel(ctx)
	t.ended.Go(func() { t.run(ctx) })
	return t
}

// run tells until ctx ends.
func (t *consoles) run(ctx context.Context) {
	tick := time.NewTicker(status.Every)
	defer tick.Stop()
	for {
		t.tell(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// tell sends the newest state.
func (t *consoles) tell(ctx context.Context) {
	t.mu.Lock()
	t.report.Number++
	t.report.SentAt = time.Now().UTC()
	now, rehearsal := t.report, *t.report.Rehearsal
	t.mu.Unlock()
	now.Rehearsal = &rehearsal
	if err := t.link.PublishStatus(ctx, &now); err != nil {
		t.log.Debug("consoles are not told of the rehearsal", "error", err)
	}
}

// show takes in how it goes.
func (t *consoles) show(p loadtest.Progress) {
	if t.link == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	h := t.report.Rehearsal
	h.Phase, h.Sending, h.LeftMillis = p.Phase, p.Sending, nil
	if p.Planned > 0 {
		h.Planned = p.Planned
	}
	h.Sent, h.Accepted, h.Refused, h.Unknown = p.Sent, p.Accepted, p.Refused, p.Unknown
	h.SentPerSecond, h.AcceptedPerSecond, h.AckP99Millis = p.SentRate, p.AckRate, float64(p.P99)/float64(time.Millisecond)
	left := p.Left
	if c := p.Charging; !p.Sending && c != nil && c.Waiting > 0 && c.PerSecond > 0 {
		left = time.Duration(float64(c.Waiting) / c.PerSecond * float64(time.Second))
	}
	if left > 0 {
		millis := left.Milliseconds()
		h.LeftMillis = &millis
	}
}

// end says what came of it, and goodbye. report is nil when nothing was proven.
func (t *consoles) end(report *loadtest.Report) {
	t.stop()
	t.ended.Wait()
	if t.link == nil {
		return
	}
	t.mu.Lock()
	t.report.Leaving = true
	h := t.report.Rehearsal
	h.Phase, h.Sending, h.LeftMillis = "ended", false, nil
	if report != nil {
		h.Holds = &report.Holds
	}
	t.mu.Unlock()
	t.tell(context.Background())
	logClose(t.log, t.link)
}
