package broker

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"spillway/ledger"
)

// Marks say where everything on the broker stood at a moment that is no rehearsal's.
type Marks struct {
	Streams map[string]Mark
}

// Mark is where one stream stood.
type Mark struct {
	CreatedAt   time.Time
	First, Last uint64 // sequences; First = Last+1 when nothing is stored
	Messages    uint64
	// Grows says that nothing leaves the stream by itself.
	Grows bool
	// Kept are the subjects of a stream that keeps the last message of each, those of
	// rehearsals left out; nil where it keeps them otherwise.
	Kept map[string]uint64
	// Aging are the last sequences of the subjects of a stream whose messages leave by
	// their age, those of rehearsals left out, with when each was stored.
	Aging map[string]Aged
}

// Aged is a last message in a stream whose messages leave by their age.
type Aged struct {
	Sequence uint64
	StoredAt time.Time
	MaxAge   time.Duration
}

// agingSubjectsMax bounds the subjects of a stream that are asked for one by one: slots,
// of which an installation has some dozens.
const agingSubjectsMax = 10_000

// Marks asks where every stream of the account stands but those of rehearsals. slugs are
// rehearsals' campaigns, whose subjects are left out. Errors: ErrUnavailable, ctx's.
func (b *Broker) Marks(ctx context.Context, slugs []string) (Marks, error) {
	names, err := b.allStreams(ctx)
	if err != nil {
		return Marks{}, fmt.Errorf("where streams stand: %w", err)
	}
	m := Marks{Streams: map[string]Mark{}}
	skip := make(map[string]bool, 2*len(slugs))
	for _, slug := range slugs {
		skip[campaignSubject(slug)], skip[wallSubject(slug)] = true, true
	}
	theirs := b.rehearsalStreams()
	for _, name := range names {
		if slices.Contains(theirs, name) {
			continue
		}
		mark, err := b.mark(ctx, name, func(subject string) bool { return skip[subject] || ofRehearsalSlot(subject) })
		if err != nil {
			return Marks{}, fmt.Errorf("where streams stand: %w", err)
		}
		m.Streams[name] = mark
	}
	return m, nil
}

// ofRehearsalSlot tells whether a subject is of a frame or a snapshot of rehearsals.
func ofRehearsalSlot(subject string) bool {
	book := ledger.Rehearsal.String()
	return strings.HasPrefix(subject, "frames.v1."+book+".") || strings.HasPrefix(subject, "snapshots.v1."+book+".")
}

func (b *Broker) allStreams(ctx context.Context) (all []string, err error) {
	ctx, cancel := b.within(ctx)
	defer cancel()
	names := b.js.StreamNames(ctx)
	for name := range names.Name() {
		all = append(all, name)
	}
	if err := names.Err(); err != nil {
		return nil, fmt.Errorf("list streams: %w", unavailable(ctx, err))
	}
	return all, nil
}

func (b *Broker) mark(ctx context.Context, name string, skip func(subject string) bool) (Mark, error) {
	asking, cancel := b.within(ctx)
	info, err := b.streamInfo(asking, name)
	cancel()
	if err != nil {
		return Mark{}, fmt.Errorf("stream %s: %w", name, unavailable(asking, err))
	}
	m := Mark{CreatedAt: info.Created, First: info.State.FirstSeq, Last: info.State.LastSeq, Messages: info.State.Msgs}
	if m.Messages == 0 {
		m.First = m.Last + 1
	}
	c := info.Config
	m.Grows = c.MaxAge == 0 && c.MaxMsgsPerSubject <= 0 && c.Retention == jetstream.LimitsPolicy && (c.Discard == jetstream.DiscardNew || c.MaxBytes <= 0 && c.MaxMsgs <= 0)
	if m.Grows {
		return m, nil
	}
	subjects, err := b.subjectsOf(ctx, name, ">")
	if err != nil {
		return Mark{}, err
	}
	for subject := range subjects {
		if skip(subject) {
			delete(subjects, subject)
		}
	}
	switch {
	case c.MaxAge == 0 && c.MaxMsgsPerSubject == 1:
		m.Kept = subjects
	case c.AllowDirect && len(subjects) <= agingSubjectsMax:
		m.Aging = make(map[string]Aged, len(subjects))
		for subject := range subjects {
			last, err := b.lastMessageOf(ctx, name, subject)
			if err != nil {
				continue // it has left meanwhile
			}
			stored, err := time.Parse(time.RFC3339Nano, last.Header.Get("Nats-Time-Stamp"))
			if err != nil {
				return Mark{}, fmt.Errorf("stream %s: when %s was stored: %w", name, subject, err)
			}
			m.Aging[subject] = Aged{sequenceOf(last), stored, c.MaxAge}
		}
	}
	return m, nil
}

// Lost says what of m is no longer there in after, which was asked for later, at now: a
// stream that was made anew or has lost messages, a subject without its message. What
// came since does not count, nor does what left by its age. Nothing is lost for nil.
func (m Marks) Lost(after Marks, now time.Time) (lost []string) {
	say := func(format string, args ...any) { lost = append(lost, fmt.Sprintf(format, args...)) }
	for name, was := range m.Streams {
		is, there := after.Streams[name]
		switch {
		case !there:
			say("stream %s is gone", name)
			continue
		case !is.CreatedAt.Equal(was.CreatedAt):
			say("stream %s was made anew", name)
			continue
		case is.Last < was.Last:
			say("stream %s ended at %d and ends at %d", name, was.Last, is.Last)
		}
		if was.Grows && (is.First != was.First || is.Messages < was.Messages) {
			say("stream %s held %d messages from %d on and holds %d from %d on", name, was.Messages, was.First, is.Messages, is.First)
		}
		for subject := range was.Kept {
			if is.Kept[subject] == 0 {
				say("stream %s lost the message of %s", name, subject)
			}
		}
		for subject, last := range was.Aging {
			if old := last.MaxAge > 0 && now.Sub(last.StoredAt) >= last.MaxAge; is.Aging[subject].Sequence < last.Sequence && !old {
				say("stream %s lost message %d of %s", name, last.Sequence, subject)
			}
		}
	}
	slices.Sort(lost)
	return lost
}
