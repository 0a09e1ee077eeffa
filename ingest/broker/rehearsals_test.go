package broker_test

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"spillway/campaigns"
	"spillway/ingest/broker"
	"spillway/ledger"
)

// rehearsed is a broker that holds something of both books in every stream.
func rehearsed(t *testing.T) (*broker.Broker, jetstream.JetStream) {
	t.Helper()
	b, js := inspected(t)
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(b.EnsureTopology(ctx))
	for _, subject := range []string{"donations.v1.0", "donations.v1.0", "rehearsals.v1.0", "rehearsals.v1.0", "rehearsals.v1.0"} {
		_, err := js.Publish(ctx, subject, []byte("an envelope"))
		must(err)
	}
	for _, book := range ledger.Books {
		must(b.PublishCommand(ctx, book, "c-"+book.String(), []byte("a command")))
		for slot := range int32(3) {
			head := campaigns.FrameHead{Book: book, Slot: slot + 1, Epoch: 1, Term: 1, Number: 1, CountedThrough: time.Now()}
			given := []campaigns.SlotRow{{Campaign: "a-" + book.String(), Currency: "USD", PledgedMinor: 5, Donations: 1, Version: 1}}
			must(b.PublishSnapshot(ctx, &campaigns.Snapshot{FrameHead: head, Rows: given}))
			must(b.PublishFrame(ctx, &campaigns.Frame{FrameHead: head, Rows: given}))
		}
	}
	must(b.PublishWebhook(ctx, "evt_1", []byte("{}")))
	must(b.PublishCampaigns(ctx, []*campaigns.Campaign{
		{Slug: "school", Name: "School", Currency: "USD", Revision: 1}, {Slug: "river", Name: "River", Currency: "USD", Revision: 2},
		{Slug: "drill-one", Name: "Rehearsal a: one", Currency: "USD", Rehearsal: true, Revision: 3},
		{Slug: "drill-two", Name: "Rehearsal a: two", Currency: "USD", Rehearsal: true, Revision: 4},
	}))
	must(b.PublishWalls(ctx, []*campaigns.Wall{
		{Campaign: campaigns.DayWall, Version: 1}, {Campaign: "school", Version: 1}, {Campaign: "drill-one", Version: 1}, {Campaign: "drill-gone", Version: 1},
	}))
	return b, js
}

func TestRehearsals_AreRemovedAndNothingElse(t *testing.T) {
	b, js := rehearsed(t)
	ctx := t.Context()
	at, err := b.Rehearsals(ctx, 2, []string{"drill-gone", "nobody"})
	if err != nil {
		t.Fatal(err)
	}
	if at.Donations != 3 || at.Commands != 1 || at.News != 4 || at.Pending != 3 || at.LastAt.IsZero() ||
		!slices.Equal(at.Campaigns, []string{"drill-one", "drill-two"}) || !slices.Equal(at.Walls, []string{"drill-gone", "drill-one"}) || at.Empty() {
		t.Fatalf("there is %+v", at)
	}
	before, err := b.Marks(ctx, append(at.Walls, at.Campaigns...))
	if err != nil {
		t.Fatal(err)
	}
	for _, theirs := range []string{"REHEARSALS_0", "REHEARSAL_COMMANDS"} {
		if _, there := before.Streams[theirs]; there {
			t.Errorf("%s is compared", theirs)
		}
	}
	// A campaign that says nothing of a rehearsal is left, whoever asks.
	for range 2 { // the second finds nothing to do
		if err := b.PurgeRehearsals(ctx); err != nil {
			t.Fatal(err)
		}
		if err := b.EndRehearsalSlots(ctx, 2, 2, time.Now()); err != nil {
			t.Fatal(err)
		}
		if err := b.RemoveRehearsalCampaigns(ctx, []string{"drill-one", "drill-two", "drill-gone", "school", "nobody"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.RemoveRehearsalCampaigns(ctx, []string{"*"}); err == nil {
		t.Error("all of them at once")
	}
	if at, err = b.Rehearsals(ctx, 2, []string{"drill-one", "drill-two", "drill-gone"}); err != nil || !at.Empty() || at.Pending != 0 {
		t.Errorf("left: %+v, %v", at, err)
	}
	// The third slot was not told to end.
	if at, err = b.Rehearsals(ctx, math.MaxInt32, nil); err != nil || at.News != 2 {
		t.Errorf("left of a later slot: %+v, %v", at, err)
	}
	after, err := b.Marks(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	if lost := before.Lost(after, time.Now()); len(lost) > 0 {
		t.Errorf("lost: %q", lost)
	}
	var left []string
	stream, err := js.Stream(ctx, "WALLS")
	if err != nil {
		t.Fatal(err)
	}
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(">"))
	if err != nil {
		t.Fatal(err)
	}
	for subject := range info.State.Subjects {
		left = append(left, subject)
	}
	if slices.Sort(left); !slices.Equal(left, []string{"walls.v1." + campaigns.DayWall, "walls.v1.school"}) {
		t.Errorf("walls left: %q", left)
	}

	// Front-ends hear in the new epoch that the slots have ended.
	r := readFrames(t, b)
	eventually(t, "the slots' last word", func() bool {
		ended := map[int32]bool{}
		for _, f := range r.all() {
			if f.Book == ledger.Rehearsal && f.Epoch == 2 && f.Closed && len(f.Rows) == 0 {
				ended[f.Slot] = true
			}
		}
		return ended[1] && ended[2] && !ended[3]
	})
	// The streams' numbers go on, so that nothing is ever taken for what was removed.
	ack, err := js.Publish(ctx, "rehearsals.v1.0", []byte("another"))
	if err != nil || ack.Sequence != 4 {
		t.Errorf("the next message is %+v, %v", ack, err)
	}
}

func TestMarks_TellWhatIsLost(t *testing.T) {
	b, js := rehearsed(t)
	ctx := t.Context()
	before, err := b.Marks(ctx, []string{"drill-one", "drill-two"})
	if err != nil {
		t.Fatal(err)
	}
	purge := func(stream string, only ...jetstream.StreamPurgeOpt) {
		t.Helper()
		s, err := js.Stream(ctx, stream)
		if err == nil {
			err = s.Purge(ctx, only...)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	want := func(say string) {
		t.Helper()
		after, err := b.Marks(ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		lost := before.Lost(after, time.Now())
		if len(lost) != 1 || !strings.Contains(lost[0], say) {
			t.Errorf("lost %q, want %s", lost, say)
		}
		if before, err = b.Marks(ctx, []string{"drill-one", "drill-two"}); err != nil {
			t.Fatal(err)
		}
	}
	// What comes meanwhile is nothing lost.
	if _, err := js.Publish(ctx, "donations.v1.0", []byte("one more")); err != nil {
		t.Fatal(err)
	}
	purge("DONATIONS_0", jetstream.WithPurgeSequence(2))
	want("stream DONATIONS_0 held 2 messages")
	purge("WEBHOOKS")
	want("stream WEBHOOKS held 1 messages")
	purge("CAMPAIGNS", jetstream.WithPurgeSubject("campaigns.v1.school"))
	want("campaigns.v1.school")
	purge("WALLS", jetstream.WithPurgeSubject("walls.v1."+campaigns.DayWall))
	want("walls.v1." + campaigns.DayWall)
	purge("FRAMES", jetstream.WithPurgeSubject("frames.v1.live.2"))
	want("frames.v1.live.2")
	purge("SNAPSHOTS", jetstream.WithPurgeSubject("snapshots.v1.live.1.>"))
	want("snapshots.v1.live.1.0")
	if err := js.DeleteStream(ctx, "SWITCHES"); err != nil {
		t.Fatal(err)
	}
	want("stream SWITCHES is gone")
	// What is old enough to have left by itself is not missed.
	purge("FRAMES", jetstream.WithPurgeSubject("frames.v1.live.3"))
	after, err := b.Marks(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	if lost := before.Lost(after, time.Now().Add(time.Hour)); len(lost) > 0 {
		t.Errorf("an hour later: %q", lost)
	}
}
