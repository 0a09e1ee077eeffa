package broker_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"spillway/campaigns"
	"spillway/campaigns/status"
	"spillway/ingest"
	"spillway/ingest/broker"
	"spillway/ingest/broker/brokertest"
	"spillway/ledger"
	"spillway/ledger/payments"
)

// refusals collects what the broker refuses a connection, from its log.
type refusals struct {
	mu   sync.Mutex
	said []string
}

func (r *refusals) Enabled(context.Context, slog.Level) bool { return true }
func (r *refusals) WithAttrs([]slog.Attr) slog.Handler       { return r }
func (r *refusals) WithGroup(string) slog.Handler            { return r }
func (r *refusals) Handle(_ context.Context, record slog.Record) error {
	record.Attrs(func(a slog.Attr) bool {
		if text := a.Value.String(); strings.Contains(strings.ToLower(text), "permissions violation") {
			r.mu.Lock()
			r.said = append(r.said, text)
			r.mu.Unlock()
		}
		return true
	})
	return nil
}

func (r *refusals) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.said...)
}

// asRole connects with a role's own credentials; whatever the broker refuses fails the test.
func asRole(t testing.TB, s *brokertest.Server, role broker.Role) *broker.Broker {
	t.Helper()
	r := &refusals{}
	b, err := broker.Connect(t.Context(), s.ConfigFor(role), slog.New(r))
	if err != nil {
		t.Fatalf("%s: %v", role, err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("%s: close: %v", role, err)
		}
		for _, refused := range r.all() {
			t.Errorf("%s needs what it may not: %s", role, refused)
		}
	})
	return b
}

// TestRoles_MayWhatTheyNeed does with each role's credentials what the role does.
func TestRoles_MayWhatTheyNeed(t *testing.T) {
	t.Parallel()
	s := brokertest.Start(t, brokertest.WithRoles())
	front, payer := asRole(t, s, broker.RoleFrontEnd), asRole(t, s, broker.RolePayments)
	recorder, office := asRole(t, s, broker.RoleLedger), asRole(t, s, broker.RoleAdmin)
	generator, operator := asRole(t, s, broker.RoleGenerator), asRole(t, s, broker.RoleOperator)
	ctx := t.Context()
	for _, b := range []*broker.Broker{front, payer, office, generator} {
		if err := b.EnsureTopology(ctx); !errors.Is(err, broker.ErrUnavailable) {
			t.Errorf("without a ledger nobody makes streams: %v", err)
		}
	}
	try := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, b := range []*broker.Broker{recorder, front, payer, office, generator, operator} {
		try("streams", b.EnsureTopology(ctx))
	}

	// Front-end.
	gate := openGate(t, front)
	gateSays(t, gate, nil)
	p := front.NewPublisher(broker.PublisherConfig{Gate: gate}, nil)
	run(t, p.Run)
	takes(t, p)
	eventually(t, "rehearsal's donation", func() bool { return p.Publish(ledger.Rehearsal, donation(2)) == nil })
	try("event of the processor", front.PublishWebhook(ctx, "evt_1", []byte("{}")))
	campaignsSeen, frames := watchCampaigns(t, front), readFrames(t, front)
	days, walls, switches := listen(t, front.WatchEvents, eventSlug), listen(t, front.WatchWalls, wallOf), listen(t, front.WatchSwitches, theSwitches)
	changes := make(chan int, 10)
	run(t, func(ctx context.Context) error {
		return front.WatchChanges(ctx, func(ids [][16]byte) { changes <- len(ids) })
	})

	// Ledger.
	source := recorder.Source(ledger.Live, 0)
	t.Cleanup(source.Close)
	ack(t, fetch(t, source, 10, patience)...)
	_, err := source.Watermark(ctx)
	try("watermark", err)
	try("campaign", recorder.PublishCampaign(ctx, campaign("river-school", 1)))
	try("frame", recorder.PublishFrame(ctx, &campaigns.Frame{FrameHead: head(1, 1), Rows: rows(2, 1)}))
	try("snapshot", recorder.PublishSnapshot(ctx, ofTerm(1, 1, 2)))
	try("giving day", recorder.PublishEvent(ctx, day(1)))
	run(t, func(ctx context.Context) error {
		return recorder.ServeDonations(ctx, func(_ context.Context, ids []ingest.ID) (map[ingest.ID]ledger.State, error) {
			return map[ingest.ID]ledger.State{ids[0]: state(ids[0])}, nil
		})
	})
	eventually(t, "the ledger answers the front-end", func() bool {
		state, err := front.AskDonation(ctx, ingest.ID{2})
		return err == nil && state.Found
	})
	ledgerSees := watchCampaigns(t, recorder)

	// Payments.
	events := payer.Webhooks()
	t.Cleanup(events.Close)
	ack(t, fetch(t, events, 10, patience)...)
	_, err = payer.Source(ledger.Live, 0).Watermark(ctx)
	try("watermark of payments", err)
	try("frame of payments", payer.PublishFrame(ctx, &campaigns.Frame{FrameHead: head(2, 1), Rows: rows(2, 1)}))
	eventually(t, "the front-end hears of a change", func() bool {
		try("change", payer.PublishChanges(ctx, []payments.Outcome{{Donation: [16]byte{1}, Changed: true}}))
		select {
		case n := <-changes:
			return n == 1
		case <-time.After(time.Second):
			return false
		}
	})

	// Console.
	try("command", office.PublishCommand(ctx, ledger.Live, "command-1", []byte("{}")))
	try("switches", office.PublishSwitches(ctx, &campaigns.Switches{Revision: 1}))
	try("walls", office.PublishWalls(ctx, []*campaigns.Wall{wall("river-school", 1)}))
	_, err = office.EnsureWalls(ctx)
	try("stream of walls", err)
	try("search", office.EnsureSearch(ctx))
	search := office.SearchSource(ledger.Live, 0)
	t.Cleanup(search.Close)
	ack(t, fetch(t, search, 10, patience)...)
	_, err = office.LedgerStanding(ctx, ledger.Live, 0)
	try("where the ledger stands", err)
	try("search anew", office.RestartSearch(ctx, ledger.Live))
	reports := make(chan string, 10)
	run(t, func(ctx context.Context) error {
		return office.WatchStatus(ctx, func(r *status.Report) { reports <- r.Node })
	})
	eventually(t, "the console hears of each role", func() bool {
		for _, b := range []*broker.Broker{front, recorder, payer} {
			try("status", b.PublishStatus(ctx, &status.Report{Node: "a", Build: "b", StartedAt: time.Now()}))
		}
		select {
		case <-reports:
			return true
		case <-time.After(time.Second):
			return false
		}
	})
	officeSees := watchCampaigns(t, office)

	// Commands come to payments.
	commands := payer.Commands(ledger.Live)
	t.Cleanup(commands.Close)
	ack(t, fetch(t, commands, 10, patience)...)

	// Generator and operator.
	_, err = generator.Source(ledger.Rehearsal, 0).Lag(ctx)
	try("lag", err)
	try("durable", operator.Durable(ctx))
	if there, _ := stored(t, operator, ledger.Live, 0); len(there) != 1 {
		t.Errorf("an operator reads %d donations", len(there))
	}

	eventually(t, "everybody reads what they show", func() bool {
		_, err := front.Snapshots(ctx)
		want := map[string]int64{"river-school": 1}
		return err == nil && campaignsSeen.knows(want) && ledgerSees.knows(want) && officeSees.knows(want) &&
			len(frames.all()) == 2 && days.of("day") != nil && walls.of("river-school") != nil && switches.of("") != nil
	})
	if _, _, err := front.Media(ctx, strings.Repeat("0", 64)); !errors.Is(err, campaigns.ErrUnknown) {
		t.Errorf("a picture that is not there: %v", err)
	}
}

// TestRoles_MayNothingElse tries, with each role's credentials, what others do.
func TestRoles_MayNothingElse(t *testing.T) {
	t.Parallel()
	s := brokertest.Start(t, brokertest.WithRoles())
	if err := asRole(t, s, broker.RoleLedger).EnsureTopology(t.Context()); err != nil {
		t.Fatal(err)
	}
	// What changes or removes what is stored, reads donors' records, or pretends to be another.
	const jsapi = "$JS.API."
	nobody := []string{
		jsapi + "STREAM.DELETE.DONATIONS_0", jsapi + "STREAM.PURGE.DONATIONS_0", jsapi + "STREAM.UPDATE.DONATIONS_0", jsapi + "STREAM.MSG.DELETE.DONATIONS_0",
		jsapi + "STREAM.SNAPSHOT.DONATIONS_0", jsapi + "STREAM.RESTORE.DONATIONS_0", jsapi + "STREAM.LEADER.STEPDOWN.DONATIONS_0", jsapi + "STREAM.PEER.REMOVE.DONATIONS_0",
		jsapi + "META.LEADER.STEPDOWN", jsapi + "CONSUMER.DELETE.DONATIONS_0.LEDGER", jsapi + "CONSUMER.PAUSE.DONATIONS_0.LEDGER",
		"$SYS.REQ.SERVER.PING.VARZ", "$SYS.REQ.SERVER.PING.CONNZ", "_INBOX_operator.x", "_INBOX_ingest.x", "anything",
	}
	others := map[broker.Role][]string{
		broker.RoleFrontEnd: {
			"frames.v1.live.1", "snapshots.v1.live.1.0", "campaigns.v1.a", "events.v1.a", "switches.v1", "media.v1.a", "walls.v1.a", "commands.v1.live", "changes.v1",
			jsapi + "INFO", jsapi + "STREAM.NAMES", jsapi + "STREAM.LIST", jsapi + "STREAM.CREATE.OTHER", jsapi + "STREAM.MSG.GET.DONATIONS_0",
			jsapi + "DIRECT.GET.DONATIONS_0", jsapi + "DIRECT.GET.WEBHOOKS", jsapi + "DIRECT.GET.COMMANDS", jsapi + "STREAM.PURGE.MEDIA",
			jsapi + "CONSUMER.CREATE.DONATIONS_0.spy", jsapi + "CONSUMER.CREATE.WEBHOOKS.spy", jsapi + "CONSUMER.INFO.DONATIONS_0.LEDGER",
			jsapi + "CONSUMER.DURABLE.CREATE.DONATIONS_0.spy", jsapi + "CONSUMER.MSG.NEXT.DONATIONS_0.LEDGER", "$JS.ACK.DONATIONS_0.LEDGER.1.1.1.1.0",
			"generators.v1.a.hello",
		},
		broker.RoleLedger: {
			"donations.v1.0", "rehearsals.v1.0", "webhooks.v1", "commands.v1.live", "switches.v1",
			jsapi + "CONSUMER.MSG.NEXT.WEBHOOKS.PAYMENTS", "$JS.ACK.COMMANDS.PAYMENTS.1.1.1.1.0", "$JS.ACK.DONATIONS_0.SEARCH.1.1.1.1.0",
		},
		broker.RolePayments: {
			"donations.v1.0", "rehearsals.v1.0", "webhooks.v1", "commands.v1.live", "campaigns.v1.a", "switches.v1", "donations.state.v1",
			jsapi + "STREAM.CREATE.OTHER", jsapi + "CONSUMER.CREATE.DONATIONS_0.spy", jsapi + "CONSUMER.MSG.NEXT.DONATIONS_0.LEDGER", "$JS.ACK.DONATIONS_0.LEDGER.1.1.1.1.0",
		},
		broker.RoleAdmin: {
			"donations.v1.0", "rehearsals.v1.0", "webhooks.v1", "frames.v1.live.1", "snapshots.v1.live.1.0",
			jsapi + "STREAM.CREATE.OTHER", jsapi + "CONSUMER.CREATE.DONATIONS_0.spy", jsapi + "CONSUMER.CREATE.WEBHOOKS.spy",
			jsapi + "CONSUMER.MSG.NEXT.DONATIONS_0.LEDGER", "$JS.ACK.DONATIONS_0.LEDGER.1.1.1.1.0",
		},
		broker.RoleGenerator: {
			"donations.v1.0", "rehearsals.v1.0", "webhooks.v1", "commands.v1.rehearsal", "campaigns.v1.a", "frames.v1.rehearsal.1", "changes.v1", "status.v1",
			jsapi + "STREAM.CREATE.OTHER", jsapi + "CONSUMER.CREATE.REHEARSALS_0.spy", jsapi + "CONSUMER.MSG.NEXT.REHEARSALS_0.LEDGER", "$JS.ACK.REHEARSALS_0.LEDGER.1.1.1.1.0",
		},
	}
	// What each may not hear.
	deaf := []string{">", "_INBOX.>", "_INBOX_operator.>", "donations.v1.*", "webhooks.v1", "commands.v1.*", "$JS.API.>", "$JS.ACK.>", "$SYS.>"}
	for role, subjects := range others {
		t.Run(string(role), func(t *testing.T) {
			nc, refused := rawRole(t, s, role)
			for _, subject := range append(subjects, nobody...) {
				if err := nc.Publish(subject, nil); err != nil {
					t.Fatal(err)
				}
				if !refused("publish", subject) {
					t.Errorf("may publish on %s", subject)
				}
			}
			ears := deaf
			for _, other := range broker.Roles {
				if other != role {
					ears = append(ears, other.InboxPrefix()+".>")
				}
			}
			if role != broker.RoleLedger {
				ears = append(ears, "donations.state.v1")
			}
			for _, subject := range ears {
				sub, err := nc.SubscribeSync(subject)
				if err != nil {
					t.Fatal(err)
				}
				if !refused("subscription", subject) {
					t.Errorf("may hear %s", subject)
				}
				_ = sub.Unsubscribe() // refused: it is none
			}
		})
	}
}

// rawRole connects without our own client's rules. refused tells whether the broker
// refuses what was just done.
func rawRole(t *testing.T, s *brokertest.Server, role broker.Role) (nc *nats.Conn, refused func(what, subject string) bool) {
	t.Helper()
	errs := make(chan error, 256)
	nc, err := nats.Connect(s.ConfigFor(role).URL, nats.CustomInboxPrefix(role.InboxPrefix()),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { errs <- err }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc, func(what, subject string) bool {
		// A server's word comes before its answer to our ping; the client hands it on a
		// moment later, from another goroutine.
		if err := nc.Flush(); err != nil {
			t.Fatal(err)
		}
		if last := nc.LastError(); last != nil && names(last, what, subject) {
			return true
		}
		for {
			select {
			case err := <-errs:
				if names(err, what, subject) {
					return true
				}
			default:
				return false
			}
		}
	}
}

func names(err error, what, subject string) bool {
	return strings.Contains(strings.ToLower(err.Error()), what) && strings.Contains(err.Error(), fmt.Sprintf("%q", subject))
}
