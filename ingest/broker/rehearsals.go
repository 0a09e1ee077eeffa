package broker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"spillway/campaigns"
	"spillway/campaigns/wire"
	"spillway/ledger"
)

// purgesAtOnce is how many campaigns are read or removed side by side: each is a
// question of its own, and this hides the way there and back.
const purgesAtOnce = 16

// Rehearsals is what the broker keeps of rehearsals.
type Rehearsals struct {
	Donations uint64    // messages of donors: envelopes, each of one donation or more
	LastAt    time.Time // when the last of those was stored; zero for none
	Commands  uint64    // of people
	News      uint64    // frames and snapshots of the slots that were asked for
	Campaigns []string  // slugs of campaigns that say of themselves that they are a rehearsal's, sorted
	Walls     []string  // slugs of those of them that have a wall, and of others, sorted
	// Deliveries are messages of donors that the ledger was given and has not
	// acknowledged, and those that it was not given yet.
	Unacked, Pending uint64
}

// Empty tells whether nothing is kept.
func (r *Rehearsals) Empty() bool {
	return r.Donations == 0 && r.Commands == 0 && r.News == 0 && len(r.Campaigns) == 0 && len(r.Walls) == 0
}

// Rehearsals looks at what is kept of rehearsals, in news those of slots up to last, and
// changes nothing. others are slugs of campaigns that the caller knows to have been a
// rehearsal's: their walls count too. Errors: ErrUnavailable, ctx's.
func (b *Broker) Rehearsals(ctx context.Context, last int32, others []string) (r Rehearsals, err error) {
	wrong := func(err error) (Rehearsals, error) { return Rehearsals{}, fmt.Errorf("look for rehearsals: %w", err) }
	for _, name := range b.rehearsalStreams() {
		state, _, err := b.streamState(ctx, name)
		if err != nil {
			return wrong(err)
		}
		if name == CommandsStream(ledger.Rehearsal) {
			r.Commands = state.Msgs
			continue
		}
		r.Donations += state.Msgs
		if state.Msgs > 0 && state.LastTime.After(r.LastAt) {
			r.LastAt = state.LastTime
		}
	}
	for shard := range b.cfg.Shards {
		info, err := b.Source(ledger.Rehearsal, shard).consumerInfo(ctx)
		if errors.Is(err, jetstream.ErrConsumerNotFound) || errors.Is(err, jetstream.ErrStreamNotFound) {
			continue
		}
		if err != nil {
			return wrong(err)
		}
		r.Unacked, r.Pending = r.Unacked+uint64(info.NumAckPending), r.Pending+info.NumPending
	}
	told, err := b.rehearsalNews(ctx, last)
	if err != nil {
		return wrong(err)
	}
	for _, n := range told {
		ended, err := b.isEnded(ctx, n)
		if err != nil {
			return wrong(err)
		}
		if !ended {
			r.News += n.messages
		}
	}
	if r.Campaigns, err = b.rehearsalCampaigns(ctx); err != nil {
		return wrong(err)
	}
	walls, err := b.subjectsOf(ctx, wallsStream, wallSubject(">"))
	if err != nil {
		return wrong(err)
	}
	for _, slug := range union(r.Campaigns, others) {
		if walls[wallSubject(slug)] > 0 {
			r.Walls = append(r.Walls, slug)
		}
	}
	return r, nil
}

func union(a, b []string) []string {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}

// rehearsalStreams are the streams that hold nothing but rehearsals.
func (b *Broker) rehearsalStreams() []string {
	var names []string
	for shard := range b.cfg.Shards {
		names = append(names, Stream(ledger.Rehearsal, shard))
	}
	return append(names, CommandsStream(ledger.Rehearsal))
}

// streamState asks where a stream stands; zero values when it is not there.
func (b *Broker) streamState(ctx context.Context, name string) (jetstream.StreamState, jetstream.StreamConfig, error) {
	ctx, cancel := b.within(ctx)
	defer cancel()
	info, err := b.streamInfo(ctx, name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return jetstream.StreamState{}, jetstream.StreamConfig{}, nil
	}
	if err != nil {
		return jetstream.StreamState{}, jetstream.StreamConfig{}, fmt.Errorf("stream %s: %w", name, unavailable(ctx, err))
	}
	return info.State, info.Config, nil
}

// subjectsOf is subjects of a stream that may not be there.
func (b *Broker) subjectsOf(ctx context.Context, stream, filter string) (map[string]uint64, error) {
	found, err := b.subjects(ctx, stream, filter)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", stream, err)
	}
	return found, nil
}

// spoken is what is kept of one slot of the rehearsals, in one subject.
type spoken struct {
	stream, subject string
	slot            int32
	messages        uint64
}

// rehearsalNews lists the subjects of the rehearsals' slots up to last.
func (b *Broker) rehearsalNews(ctx context.Context, last int32) (all []spoken, err error) {
	for stream, first := range map[string]string{
		framesStream:    frameSubject(ledger.Rehearsal, 0),
		snapshotsStream: snapshotSubject(ledger.Rehearsal, 0, 0),
	} {
		prefix, _, _ := strings.Cut(first, ".0")
		subjects, err := b.subjectsOf(ctx, stream, prefix+".>")
		if err != nil {
			return nil, err
		}
		for subject, messages := range subjects {
			number, _, _ := strings.Cut(strings.TrimPrefix(subject, prefix+"."), ".")
			slot, err := strconv.ParseInt(number, 10, 32)
			if err != nil {
				return nil, fmt.Errorf("stream %s: subject %s is no slot's", stream, subject)
			}
			if int32(slot) <= last {
				all = append(all, spoken{stream, subject, int32(slot), messages})
			}
		}
	}
	return all, nil
}

// isEnded tells whether all that a subject holds is EndRehearsalSlots' own word.
func (b *Broker) isEnded(ctx context.Context, s spoken) (bool, error) {
	if s.messages > 1 {
		return false, nil
	}
	data, _, err := b.lastOf(ctx, s.stream, s.subject)
	if errors.Is(err, jetstream.ErrMsgNotFound) { // its age was over
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("read %s: %w", s.subject, err)
	}
	if s.stream == snapshotsStream {
		sn, _, err := wire.DecodeSnapshotPart(data)
		return err == nil && sn.Closed && sn.Term == endedTerm && len(sn.Rows) == 0, nil
	}
	f, _, err := wire.DecodeFramePart(data)
	return err == nil && f.Closed && f.Term == endedTerm && len(f.Rows) == 0, nil
}

// rehearsalCampaigns are the slugs of campaigns whose last message says that they are a
// rehearsal's. One that cannot be read is nobody's.
func (b *Broker) rehearsalCampaigns(ctx context.Context) ([]string, error) {
	subjects, err := b.subjectsOf(ctx, campaignsStream, campaignSubject(">"))
	if err != nil {
		return nil, err
	}
	slugs := make(chan string, len(subjects))
	group, asking := errgroup.WithContext(ctx)
	group.SetLimit(purgesAtOnce)
	for subject := range subjects {
		group.Go(func() error {
			slug := strings.TrimPrefix(subject, campaignSubject(""))
			is, err := b.isRehearsal(asking, slug)
			if err == nil && is {
				slugs <- slug
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	close(slugs)
	var all []string
	for slug := range slugs {
		all = append(all, slug)
	}
	slices.Sort(all)
	return all, nil
}

// isRehearsal tells whether what is stored of the campaign says that it is a rehearsal's.
func (b *Broker) isRehearsal(ctx context.Context, slug string) (bool, error) {
	data, _, err := b.lastOf(ctx, campaignsStream, campaignSubject(slug))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("campaign %s: %w", slug, err)
	}
	c, err := wire.DecodeCampaign(data)
	return err == nil && c.Rehearsal && c.Slug == slug, nil
}

// PurgeRehearsals removes every message of the streams that hold nothing but rehearsals.
// Their numbers go on. Errors: ErrUnavailable, ctx's.
func (b *Broker) PurgeRehearsals(ctx context.Context) error {
	for _, name := range b.rehearsalStreams() {
		if err := b.purge(ctx, name, ""); err != nil {
			return err
		}
	}
	return nil
}

// EndRehearsalSlots removes what was told of the rehearsals' slots up to last, and says
// of each in the new epoch that it has ended, so that front-ends which know them wait for
// none: that word stays, as a snapshot without rows. Errors: ErrUnavailable, ctx's.
func (b *Broker) EndRehearsalSlots(ctx context.Context, last int32, epoch int64, now time.Time) error {
	told, err := b.rehearsalNews(ctx, last)
	if err != nil {
		return fmt.Errorf("end the rehearsals' slots: %w", err)
	}
	slots := map[int32]bool{}
	for _, s := range told {
		slots[s.slot] = true
		if err := b.purge(ctx, s.stream, s.subject); err != nil {
			return err
		}
	}
	for slot := range slots {
		head := campaigns.FrameHead{
			Book: ledger.Rehearsal, Slot: slot, Epoch: epoch, Term: endedTerm, Number: 1, CountedThrough: now.UTC(), Closed: true,
		}
		// In the order in which a ledger closes a slot.
		if err := b.PublishSnapshot(ctx, &campaigns.Snapshot{FrameHead: head}); err != nil {
			return err
		}
		if err := b.PublishFrame(ctx, &campaigns.Frame{FrameHead: head}); err != nil {
			return err
		}
	}
	return nil
}

// endedTerm is a term that no writer of a slot reaches: nothing of one that comes later
// counts after the word that the slot has ended.
const endedTerm = 1 << 40

// RemoveRehearsalCampaigns removes these campaigns and their walls, the walls first, so
// that whoever is stopped in between finds the campaigns again. A campaign whose message
// does not say that it is a rehearsal's is left as it is, with its wall. A slug without a
// campaign is known to the caller as a rehearsal's, and loses its wall.
// Errors: ErrUnavailable, ctx's.
func (b *Broker) RemoveRehearsalCampaigns(ctx context.Context, slugs []string) error {
	subjects, err := b.subjectsOf(ctx, campaignsStream, campaignSubject(">"))
	if err != nil {
		return err
	}
	walls, err := b.subjectsOf(ctx, wallsStream, wallSubject(">"))
	if err != nil {
		return err
	}
	group, asking := errgroup.WithContext(ctx)
	group.SetLimit(purgesAtOnce)
	for _, slug := range slugs {
		if !campaigns.ValidSlug(slug) { // it goes into a subject
			return fmt.Errorf("remove campaign: %w: %q is no slug", campaigns.ErrInvalid, slug)
		}
		group.Go(func() error {
			there := subjects[campaignSubject(slug)] > 0
			if there {
				if is, err := b.isRehearsal(asking, slug); err != nil || !is {
					return err
				}
			}
			if walls[wallSubject(slug)] > 0 {
				if err := b.purge(asking, wallsStream, wallSubject(slug)); err != nil {
					return err
				}
			}
			if !there {
				return nil
			}
			return b.purge(asking, campaignsStream, campaignSubject(slug))
		})
	}
	return group.Wait()
}

// purge removes the messages of one subject, of the whole stream for "". What is not
// there is removed already.
func (b *Broker) purge(ctx context.Context, name, subject string) error {
	ctx, cancel := b.within(ctx)
	defer cancel()
	stream, err := b.js.Stream(ctx, name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil
	}
	if err == nil {
		var only []jetstream.StreamPurgeOpt
		if subject != "" {
			only = append(only, jetstream.WithPurgeSubject(subject))
		}
		err = stream.Purge(ctx, only...)
	}
	if err != nil {
		return fmt.Errorf("purge %s %s: %w", name, subject, unavailable(ctx, err))
	}
	return nil
}
