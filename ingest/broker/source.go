package broker

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"spillway/ledger"
)

const (
	// FetchMessagesMax is the most messages of one Fetch; the source's queue holds
	// that many, so that a delivery is never dropped on the way in.
	FetchMessagesMax = 1024
	// fetchBytesLeast is the least byte bound a request carries: a message larger
	// than the bound would end every request and never be delivered.
	fetchBytesLeast = 2 << 20
	// fetchGrace is how much longer than asked we wait for the broker's own word
	// that the time is up, so that nothing is on its way to nobody.
	fetchGrace = time.Second
	// repeatWait is the pause before a request is repeated that the broker refused
	// because others are being served, or because nobody leads the consumer.
	repeatWait = 2 * time.Millisecond
	leaderWait = 100 * time.Millisecond
)

// Source reads the envelopes of one book's shard. Any number of sources, in any
// number of processes, share them: each message goes to one at a time.
//
// Fetch is for one goroutine; the other methods are for any.
type Source struct {
	b        *Broker
	book     ledger.Book
	stream   string
	consumer string
	nextAPI  string // subject of pull requests
	infoAPI  string // subject of questions for the consumer's info

	fetch   sync.Mutex // one Fetch or Close at a time
	sub     *nats.Subscription
	inbox   string         // prefix of the reply subjects
	arrived chan *nats.Msg // deliveries and statuses
	token   uint64         // of the request under way
	request []byte         // reused

	seen seenTimes
}

// Source returns a reader of the book's shard. Close lets go of what it asked for.
func (b *Broker) Source(book ledger.Book, shard int) *Source {
	return b.source(book, Stream(book, shard), ledgerConsumer)
}

func (b *Broker) source(book ledger.Book, stream, consumer string) *Source {
	return &Source{
		b: b, book: book, stream: stream, consumer: consumer,
		nextAPI: "$JS.API.CONSUMER.MSG.NEXT." + stream + "." + consumer,
		infoAPI: "$JS.API.CONSUMER.INFO." + stream + "." + consumer,
	}
}

// Stream names the stream that the source reads.
func (s *Source) Stream() string { return s.stream }

// Fetch returns what is there, at most `most` messages (1 to FetchMessagesMax) of
// about bytesMax together; when nothing is there it waits up to `wait` for the
// first and returns with what came with it. No message and no error means that
// the time is up.
//
// The broker itself ends the request as soon as it has delivered something and
// has no more ("no_wait" with an expiry), so that an idle ledger costs one request
// per `wait`, a message is with us as soon as it is stored, and nothing lies in a
// buffer of ours unseen.
//
// Messages may come together with ctx's error: they are held by the caller.
// Errors: ErrUnavailable, ctx's.
func (s *Source) Fetch(ctx context.Context, most, bytesMax int, wait time.Duration) ([]Message, error) {
	s.fetch.Lock()
	defer s.fetch.Unlock()
	most = min(max(most, 1), FetchMessagesMax)
	deadline := time.Now().Add(wait)
	timer := time.NewTimer(wait + fetchGrace)
	defer timer.Stop()
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		changed := s.b.link.changed()
		if err := s.ask(most, bytesMax, max(0, time.Until(deadline))); err != nil {
			return nil, fmt.Errorf("fetch from %s: %w: %w", s.stream, ErrUnavailable, err)
		}
		messages, end, err := s.gather(ctx, most, timer, changed)
		if end != endNobody {
			s.b.useful()
		} else if err == nil {
			s.b.useless(errNobody)
		}
		if len(messages) > 0 || err != nil {
			return messages, err
		}
		pause := time.Duration(0)
		switch end {
		case endOthers:
			pause = repeatWait
		case endNobody:
			pause = leaderWait
		}
		if pause == 0 || time.Until(deadline) < pause {
			if end == endNobody {
				return nil, fmt.Errorf("fetch from %s: %w: %w", s.stream, ErrUnavailable, errNobody)
			}
			return nil, nil
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// ask sends one pull request, with a reply subject of its own.
func (s *Source) ask(most, bytesMax int, wait time.Duration) error {
	if s.sub == nil {
		s.inbox = s.b.nc.NewInbox() + "."
		// Room for a whole answer, one left over from before, and statuses.
		s.arrived = make(chan *nats.Msg, 2*FetchMessagesMax+64)
		sub, err := s.b.nc.ChanSubscribe(s.inbox+"*", s.arrived)
		if err != nil {
			return err
		}
		s.sub = sub
	}
	s.token++
	r := append(s.request[:0], `{"batch":`...)
	r = strconv.AppendInt(r, int64(most), 10)
	r = append(r, `,"max_bytes":`...)
	r = strconv.AppendInt(r, int64(max(bytesMax, fetchBytesLeast)), 10)
	r = append(r, `,"no_wait":true`...)
	if wait > 0 {
		r = append(r, `,"expires":`...)
		r = strconv.AppendInt(r, int64(wait), 10)
	}
	s.request = append(r, '}')
	return s.b.nc.PublishRequest(s.nextAPI, s.inbox+strconv.FormatUint(s.token, 10), s.request)
}

// ending says why a request delivered nothing more.
type ending int

const (
	endServed ending = iota // the broker has no more, or the time is up
	endOthers               // other requests were before us
	endNobody               // nobody leads the consumer, or it does not exist
)

// errNobody is what a request that nobody serves comes to.
var errNobody = errors.New("nobody leads the consumer")

// gather takes what arrives until the broker says that the request is over.
func (s *Source) gather(ctx context.Context, most int, timer *time.Timer, changed <-chan struct{}) ([]Message, ending, error) {
	var messages []Message
	for len(messages) < most {
		select {
		case m := <-s.arrived:
			status := m.Header.Get("Status")
			if status == "" || m.Reply != "" {
				// A delivery, be it a late one of an earlier request: it is ours now.
				if message, err := newMessage(s.b.nc, m); err == nil {
					s.seen.note(message.Sequence, message.StoredAt)
					messages = append(messages, message)
				}
				continue
			}
			if !strings.HasSuffix(m.Subject, "."+strconv.FormatUint(s.token, 10)) {
				continue // about an earlier request
			}
			description := m.Header.Get("Description")
			switch {
			case status == "100": // a heartbeat
				continue
			case status == "404", status == "408" && description != "Requests Pending",
				status == "409" && strings.HasPrefix(description, "Message Size"),
				status == "409" && strings.HasPrefix(description, "Batch Completed"):
				return messages, endServed, nil
			case status == "408", status == "409" && description == "Exceeded MaxWaiting":
				return messages, endOthers, nil
			}
			return messages, endNobody, nil // 503, leadership change, shutdown, deleted
		case <-changed:
			return messages, endNobody, nil // the request went with the connection
		case <-timer.C:
			return messages, endNobody, nil // the broker owed us a word and gave none
		case <-ctx.Done():
			return append(messages, s.abandon()...), endServed, ctx.Err()
		}
	}
	return messages, endServed, nil
}

// abandon ends the request under way: without a subscriber the broker drops it.
// What has arrived all the same is returned.
func (s *Source) abandon() []Message {
	if s.sub == nil {
		return nil
	}
	// Both errors mean that the connection is gone, and the request with it.
	_ = s.sub.Unsubscribe()
	_ = s.b.nc.FlushTimeout(fetchGrace)
	s.sub = nil
	var messages []Message
	for {
		select {
		case m := <-s.arrived:
			if m.Reply == "" {
				continue
			}
			if message, err := newMessage(s.b.nc, m); err == nil {
				messages = append(messages, message)
			}
		default:
			return messages
		}
	}
}

// Close gives back whatever arrives that nobody fetched.
func (s *Source) Close() {
	s.fetch.Lock()
	defer s.fetch.Unlock()
	for _, m := range s.abandon() {
		_ = m.Nak(0) // without it the message comes back after AckWait
	}
}
