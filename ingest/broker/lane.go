package broker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"spillway/ingest"
	"spillway/ingest/envelope"
	"spillway/ledger"
)

const (
	// retryWait is the pause before an envelope that found no leader of its stream
	// is sent again under the same message ID.
	retryWait = 50 * time.Millisecond
	// gatherTurns bounds how often an envelope stands aside for callers that can run:
	// each turn is a few dozen microseconds of parsing. 3 pairs of 8 s of acks with 256
	// connections (2026-11-22): 6 % less CPU per donation than without, 4 % more acks.
	gatherTurns = 16
	// envelopeEvery is the least time between the departures of two envelopes of a lane:
	// each costs the broker a sync and wakes every consumer. A donation after a pause leaves
	// at once, and so does an envelope that is full. With 2,000 donations/s and 10,000
	// viewers on two cores (2026-11-23, pairs next to each other) it takes the service from
	// 0.65 to 0.42 cores and its p99 from 11.3 to 7.6 ms; without viewers p99 is 0.6 ms
	// longer, p50 1 ms. What a machine takes at most is the same.
	envelopeEvery = time.Millisecond
	// ackQueueLen holds every answer that may be under way: one for each envelope in
	// flight and those of envelopes given up.
	ackQueueLen = 256
)

// lane is the road of one book's shard. Callers append to the filling envelope
// under its mutex; its goroutine alone talks to the broker, so that a caller is
// never held up by a socket.
type lane struct {
	p       *Publisher
	book    ledger.Book
	stream  string
	subject string
	wake    chan struct{} // there is something to send and a place for it
	stalled atomic.Bool   // newcomers are refused; see stall.go

	mu               sync.Mutex
	open             bool
	queue            []*outgoing // oldest first; the last one is filling
	waitingDonations int         // joined and not yet settled
	waitingBytes     int
	places           int // free places in flight

	// The goroutine's own.
	inFlight  []*outgoing // in order of sending
	replies   string      // prefix of the reply subjects
	lastToken uint64
	answers   chan *nats.Msg
	failing   string    // the failure that was logged last, "" after a success
	lastLeft  time.Time // departure of the last envelope

	stalledSince time.Time // zero while the broker answers
	probeAt      time.Time // earliest time of the next probe of a stalled lane
}

func newLane(p *Publisher, book ledger.Book, shard int) *lane {
	return &lane{
		p: p, book: book, stream: Stream(book, shard), subject: donationSubject(book, shard),
		wake: make(chan struct{}, 1), places: p.cfg.InFlight,
	}
}

// publish joins the filling envelope and waits until it is settled. r has exactly
// one member.
func (l *lane) publish(r envelope.Record) error {
	o, err := l.join(r)
	if err != nil {
		return err
	}
	<-o.done
	err = o.err
	l.p.release(o)
	return err
}

func (l *lane) join(r envelope.Record) (*outgoing, error) {
	cfg := &l.p.cfg
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.open {
		return nil, ingest.ErrNotReady
	}
	if l.stalled.Load() {
		return nil, l.errRefusedStalled()
	}
	if l.waitingDonations >= cfg.WaitingDonationsMax || l.waitingBytes >= cfg.WaitingBytesMax {
		l.p.metrics.busy.Inc()
		return nil, ingest.ErrBusy
	}
	var o *outgoing
	if n := len(l.queue); n > 0 && l.queue[n-1].count < cfg.EnvelopeDonationsMax {
		o = l.queue[n-1]
	} else {
		o = l.begin()
	}
	before := len(o.data)
	o.data = envelope.AppendRecord(o.data, r)
	if size := len(o.data) - before; len(o.data) > cfg.EnvelopeBytesMax && o.count > 0 {
		o.data = o.data[:before]
		o = l.begin()
		o.data = envelope.AppendRecord(o.data, r)
		l.waitingBytes += size
	} else {
		l.waitingBytes += size
	}
	o.count++
	o.refs.Add(1)
	l.waitingDonations++
	if l.places > 0 && o.count == 1 {
		select {
		case l.wake <- struct{}{}:
		default:
		}
	}
	return o, nil
}

// begin adds an empty envelope to the queue.
func (l *lane) begin() *outgoing {
	o := l.p.newOutgoing(l.stream)
	l.waitingBytes += len(o.data)
	l.queue = append(l.queue, o)
	return o
}

// run sends and settles until ctx ends and nothing is left to settle.
func (l *lane) run(ctx context.Context) error {
	l.replies = l.p.b.nc.NewInbox() + "."
	l.answers = make(chan *nats.Msg, ackQueueLen)
	sub, err := l.p.b.nc.ChanSubscribe(l.replies+"*", l.answers)
	if err != nil {
		return fmt.Errorf("publisher of %s: %w", l.stream, err)
	}
	defer sub.Unsubscribe() // an error says that the connection is closed anyway

	l.setOpen(true)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	changed := l.p.b.link.changed()
	stop, drained := ctx.Done(), (<-chan time.Time)(nil)
	for {
		select {
		case <-l.wake:
		case m := <-l.answers:
			l.answer(m)
		case <-timer.C:
		case <-changed:
			changed = l.p.b.link.changed()
			l.checkConnection()
			l.probeAt = time.Time{} // whoever is at the other end now may be well
		case <-stop:
			l.setOpen(false)
			stop, drained = nil, time.After(l.p.cfg.AckTimeout)
		case <-drained:
			l.expire(time.Time{})
		}
		now := time.Now()
		l.expire(now)
		l.checkStall(now)
		if stop == nil && l.stalled.Load() {
			l.expire(time.Time{}) // nobody will answer; a deploy does not wait for it
		}
		l.send(now)
		l.probe(now)
		if stop == nil && l.idle() {
			return nil
		}
		timer.Reset(l.nextDeadline().Sub(now))
	}
}

func (l *lane) setOpen(open bool) {
	l.mu.Lock()
	l.open = open
	l.mu.Unlock()
}

func (l *lane) idle() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.inFlight) == 0 && len(l.queue) == 0
}

// send fills the free places in flight, and repeats what is due for a repeat.
func (l *lane) send(now time.Time) {
	for _, o := range l.inFlight {
		if !o.retryAt.IsZero() && !now.Before(o.retryAt) {
			l.transmit(o, now)
			break // transmit may have changed inFlight; others follow on the next turn
		}
	}
	for {
		l.mu.Lock()
		if l.places == 0 || len(l.queue) == 0 || l.stalled.Load() && len(l.inFlight) > 0 {
			l.mu.Unlock()
			return
		}
		if now.Sub(l.lastLeft) < envelopeEvery && len(l.queue) == 1 && l.queue[0].count < l.p.cfg.EnvelopeDonationsMax {
			l.mu.Unlock()
			return // the timer brings it back
		}
		l.gather()
		o := l.queue[0]
		l.queue = slices.Delete(l.queue, 0, 1)
		l.places--
		l.mu.Unlock()
		l.inFlight = append(l.inFlight, o)
		l.lastLeft = now
		l.transmit(o, now)
	}
}

// gather lets the callers that can run now join before the envelope leaves: it
// stands aside for as long as that brings more donations, at most gatherTurns
// times. It waits for nobody: with nothing else to run it goes on at once. The
// mutex is held before and after, not meanwhile; only this goroutine takes
// envelopes out, so the queue does not get shorter.
func (l *lane) gather() {
	for range gatherTurns {
		before := l.waitingDonations
		l.mu.Unlock()
		runtime.Gosched()
		l.mu.Lock()
		if l.waitingDonations == before {
			return
		}
	}
}

// transmit hands one envelope to the connection, if that is the one the gate has
// seen proof for; otherwise it is settled as not sent.
func (l *lane) transmit(o *outgoing, now time.Time) {
	again := !o.sentAt.IsZero()
	generation, connected := l.p.b.generation()
	var err error
	switch {
	case again && generation != o.generation:
		l.settle(o, fmt.Errorf("%w: connection lost", ingest.ErrUnknown))
		return
	case !connected:
		err = fmt.Errorf("%w: no connection to the broker", ingest.ErrNotReady)
	case l.p.cfg.Gate != nil:
		err = l.p.cfg.Gate.allows(generation)
	}
	if err == nil {
		l.lastToken++
		if !again {
			o.leftAt = now
		}
		o.token, o.generation, o.sentAt, o.retryAt = l.lastToken, generation, now, time.Time{}
		o.msg.Subject, o.msg.Reply, o.msg.Data = l.subject, l.replies+strconv.FormatUint(o.token, 10), o.data
		err = sendError(l.p.b.nc.PublishMsg(&o.msg))
	}
	if err == nil {
		return
	}
	if again { // the first try may have reached the broker
		err = fmt.Errorf("%w: %w", ingest.ErrUnknown, err)
	}
	l.settle(o, err)
}

// sendError sorts what PublishMsg says: these errors come before anything is
// written; after any other the broker may have the message.
func sendError(err error) error {
	if err == nil {
		return nil
	}
	for _, before := range []error{
		nats.ErrReconnectBufExceeded, nats.ErrConnectionClosed, nats.ErrConnectionDraining,
		nats.ErrMaxPayload, nats.ErrHeadersNotSupported, nats.ErrBadSubject,
	} {
		if errors.Is(err, before) {
			return fmt.Errorf("%w: %w", ingest.ErrNotReady, err)
		}
	}
	return fmt.Errorf("%w: %w", ingest.ErrUnknown, err)
}

// pubAck is JetStream's answer to a publication.
type pubAck struct {
	Stream   string `json:"stream"`
	Sequence uint64 `json:"seq"`
	Error    *struct {
		Code        int    `json:"err_code"`
		Description string `json:"description"`
	} `json:"error"`
}

// answer settles the envelope that m is about.
func (l *lane) answer(m *nats.Msg) {
	token, _ := strconv.ParseUint(strings.TrimPrefix(m.Subject, l.replies), 10, 64)
	i := slices.IndexFunc(l.inFlight, func(o *outgoing) bool { return o.token == token })
	noLeader := len(m.Data) == 0 && m.Header.Get("Status") == "503"
	if !noLeader {
		l.setStalled(time.Time{})
	}
	if i < 0 {
		return // given up before
	}
	o := l.inFlight[i]
	err := error(nil)
	if !noLeader {
		err = l.ackError(o, m.Data)
	}
	if noLeader || errors.Is(err, errPaused) {
		// Nobody leads the stream at this moment, or its copies are being changed: nobody
		// has it. The same message ID goes out again until the deadline.
		o.retryAt = time.Now().Add(retryWait)
		return
	}
	l.settle(o, err)
}

// errPaused says that the stream takes nothing for a moment: see SetReplicas.
var errPaused = errors.New("the stream is paused")

// messageTooLarge is what a paused stream answers. No stream of ours has another bound.
const messageTooLarge = 10054

// ackError returns nil only for an acknowledgement from the expected stream that
// came on the connection the envelope left by.
func (l *lane) ackError(o *outgoing, data []byte) error {
	var ack pubAck
	if err := json.Unmarshal(data, &ack); err != nil {
		return fmt.Errorf("%w: the broker's answer cannot be read", ingest.ErrUnknown)
	}
	if ack.Error != nil && ack.Error.Code == messageTooLarge {
		return errPaused
	}
	if ack.Error != nil {
		return fmt.Errorf("%w: broker: %s (%d)", ingest.ErrUnknown, ack.Error.Description, ack.Error.Code)
	}
	if ack.Stream != l.stream || ack.Sequence == 0 {
		return fmt.Errorf("%w: acknowledged by stream %q", ingest.ErrUnknown, ack.Stream)
	}
	if generation, _ := l.p.b.generation(); generation != o.generation {
		return fmt.Errorf("%w: acknowledged by another connection", ingest.ErrUnknown)
	}
	return nil
}

// checkConnection settles what was sent on a connection that is no more. What was
// not sent is refused when it is its turn, or leaves by the next connection.
func (l *lane) checkConnection() {
	generation, connected := l.p.b.generation()
	for i := len(l.inFlight) - 1; i >= 0; i-- {
		if o := l.inFlight[i]; !connected || o.generation != generation {
			l.settle(o, fmt.Errorf("%w: connection lost", ingest.ErrUnknown))
		}
	}
}

// expire settles what is over its deadline; at the zero time, everything.
func (l *lane) expire(now time.Time) {
	late := func(o *outgoing) bool { return now.IsZero() || now.Sub(o.joinedAt) >= l.p.cfg.AckTimeout }
	for len(l.inFlight) > 0 && late(l.inFlight[0]) {
		l.settle(l.inFlight[0], fmt.Errorf("%w: no acknowledgement in %v", ingest.ErrUnknown, l.p.cfg.AckTimeout))
	}
	for {
		l.mu.Lock()
		if len(l.queue) == 0 || !late(l.queue[0]) {
			l.mu.Unlock()
			return
		}
		o := l.queue[0]
		l.queue = slices.Delete(l.queue, 0, 1)
		l.mu.Unlock()
		l.settleUnsent(o, fmt.Errorf("%w: no turn in %v", ingest.ErrNotReady, l.p.cfg.AckTimeout))
	}
}

// nextDeadline is when the goroutine has to look again by itself.
func (l *lane) nextDeadline() time.Time {
	next := time.Now().Add(time.Hour)
	earlier := func(t time.Time) {
		if t.Before(next) {
			next = t
		}
	}
	stalled := !l.stalledSince.IsZero()
	if stalled && len(l.inFlight) == 0 {
		earlier(l.probeAt)
	}
	for _, o := range l.inFlight {
		earlier(o.joinedAt.Add(l.p.cfg.AckTimeout))
		if !stalled {
			earlier(o.leftAt.Add(l.p.cfg.StalledAfter))
		}
		if !o.retryAt.IsZero() {
			earlier(o.retryAt)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue) > 0 {
		earlier(l.queue[0].joinedAt.Add(l.p.cfg.AckTimeout))
		if l.places > 0 && !(stalled && len(l.inFlight) > 0) { // as in send
			earlier(l.lastLeft.Add(envelopeEvery))
		}
	}
	return next
}

// settle answers every waiter of an envelope in flight and frees its place.
func (l *lane) settle(o *outgoing, err error) {
	if i := slices.Index(l.inFlight, o); i >= 0 {
		l.inFlight = slices.Delete(l.inFlight, i, i+1)
	}
	l.mu.Lock()
	l.places++
	l.mu.Unlock()
	l.probeAt = time.Now().Add(probePause)
	l.settleUnsent(o, err)
}

func (l *lane) settleUnsent(o *outgoing, err error) {
	l.mu.Lock()
	l.waitingDonations -= o.count
	l.waitingBytes -= len(o.data)
	l.mu.Unlock()
	l.p.metrics.settled(o, err)
	l.report(o, err)
	o.err = err
	close(o.done)
	l.p.release(o)
}

// report logs the first of a row of equal failures, and the end of the row.
func (l *lane) report(o *outgoing, err error) {
	switch {
	case err == nil && l.failing != "":
		l.p.b.log.Info("donations are acknowledged again", "stream", l.stream)
		l.failing = ""
	case err != nil && o.count > 0 && l.failing != err.Error(): // a probe is no donor's
		l.failing = err.Error()
		l.p.b.log.Warn("donations not acknowledged", "stream", l.stream, "donations", o.count, "error", err)
	}
}
