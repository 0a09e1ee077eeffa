package broker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"spillway/ingest"
	"spillway/ledger"
)

const (
	// AskTimeout bounds one question about a donation; beyond it the front-end
	// answers with what it knows by itself.
	AskTimeout = 300 * time.Millisecond
	// asksMax bounds the questions that one process has open.
	asksMax = 4096
	// statesPerQuery and statesWaitingMax bound what one answering process asks its
	// database at once, and what it lets wait; what does not fit is not answered,
	// and the asker's time runs out.
	statesPerQuery   = 256
	statesWaitingMax = 4096
	// statesQueries is how many queries run side by side: while they do, the
	// questions that come in gather for the next, without a timer.
	statesQueries = 2
	// statesTimeout bounds one query: nobody waits for its answer any longer.
	statesTimeout = AskTimeout
)

// AskDonation asks the ledger role for a donation's state. It returns within
// AskTimeout, or when ctx ends if that is sooner. A donation that the ledger does
// not hold is a State with Found false.
// Errors: ingest.ErrBusy when too many ask; ErrUnavailable; ctx's.
func (b *Broker) AskDonation(ctx context.Context, id ingest.ID) (ledger.State, error) {
	select {
	case b.asking <- struct{}{}:
		defer func() { <-b.asking }()
	default:
		return ledger.State{}, ingest.ErrBusy
	}
	ctx, cancel := context.WithTimeout(ctx, AskTimeout)
	defer cancel()
	m, err := b.nc.RequestWithContext(ctx, statesSubject, id[:])
	if err != nil {
		return ledger.State{}, fmt.Errorf("ask for a donation: %w", unavailable(ctx, err))
	}
	var a stateAnswer
	if err := json.Unmarshal(m.Data, &a); err != nil || a.Failed || a.State == nil {
		return ledger.State{}, fmt.Errorf("ask for a donation: %w: no answer from the database", ErrUnavailable)
	}
	state, ok := a.State.decode()
	if !ok {
		return ledger.State{}, fmt.Errorf("ask for a donation: %w: the answer cannot be read", ErrUnavailable)
	}
	return state, nil
}

// ServeDonations answers AskDonation until ctx ends, together with every other
// process that serves. What waits is asked in one call of answer, up to
// statesPerQuery IDs, none twice; an ID that is not in its result is one that the
// ledger does not hold. answer is called from statesQueries goroutines.
func (b *Broker) ServeDonations(ctx context.Context, answer func(ctx context.Context, ids []ingest.ID) (map[ingest.ID]ledger.State, error)) error {
	questions := make(chan *nats.Msg, statesWaitingMax)
	sub, err := b.nc.ChanQueueSubscribe(statesSubject, statesGroup, questions)
	if err != nil {
		return fmt.Errorf("serve donations: %w", err)
	}
	var wg sync.WaitGroup
	for range statesQueries {
		wg.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case m := <-questions:
					b.serve(ctx, gatherQuestions(m, questions), answer)
				}
			}
		})
	}
	wg.Wait()
	_ = sub.Unsubscribe() // an error says that the connection is closed anyway
	return nil
}

// gatherQuestions takes what waits behind m.
func gatherQuestions(m *nats.Msg, questions <-chan *nats.Msg) []*nats.Msg {
	batch := []*nats.Msg{m}
	for len(batch) < statesPerQuery {
		select {
		case m := <-questions:
			batch = append(batch, m)
		default:
			return batch
		}
	}
	return batch
}

func (b *Broker) serve(ctx context.Context, batch []*nats.Msg, answer func(context.Context, []ingest.ID) (map[ingest.ID]ledger.State, error)) {
	ctx, cancel := context.WithTimeout(ctx, statesTimeout)
	defer cancel()
	asked := make(map[ingest.ID]bool, len(batch))
	ids := make([]ingest.ID, 0, len(batch))
	for _, m := range batch {
		if len(m.Data) != len(ingest.ID{}) {
			continue
		}
		if id := ingest.ID(m.Data); !asked[id] {
			asked[id] = true
			ids = append(ids, id)
		}
	}
	states, err := answer(ctx, ids)
	if err != nil && !errors.Is(err, context.Canceled) {
		b.log.Warn("states of donations not answered", "donations", len(ids), "error", err)
	}
	for _, m := range batch {
		if len(m.Data) != len(ingest.ID{}) {
			continue
		}
		reply := stateAnswer{Failed: err != nil}
		if err == nil {
			reply.State = encodeState(states[ingest.ID(m.Data)])
		}
		data, err := json.Marshal(reply)
		if err == nil {
			err = m.Respond(data)
		}
		if err != nil {
			return // the connection is gone, and the askers' with it or their time up
		}
	}
}
