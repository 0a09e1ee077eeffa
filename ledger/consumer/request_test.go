package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"spillway/ingest"
	"spillway/ingest/envelope"
	"spillway/ledger"
	"spillway/ledger/consumer"
)

// card is the wish to pay the donor's gift with another card.
func card(donor string) *envelope.Request {
	now := time.Now().UTC().Truncate(time.Microsecond)
	donation := ingest.DeriveID([]byte(donor))
	return &envelope.Request{
		Kind: envelope.Attempt, ID: ingest.DeriveAttemptID(donation, []byte("another card of "+donor)), Donation: donation,
		ReceivedAt: now, ConfirmationToken: "ctoken_card_visa", TokenExpiresAt: now.Add(time.Hour),
	}
}

// wishes wraps requests in an envelope, behind donations.
func wishes(sequence uint64, donations []*envelope.Donation, requests ...*envelope.Request) (consumer.Message, *fakeHandle) {
	m, h := message(sequence, time.Now(), donations...)
	for _, r := range requests {
		m.Data = envelope.AppendRequest(m.Data, r)
	}
	return m, h
}

// The message of a request is acknowledged after the request is stored and never
// before, also when storing takes several tries.
func TestRequests_AreStoredBeforeTheAcknowledgement(t *testing.T) {
	entered, finish := make(chan struct{}), make(chan struct{})
	tries := 0
	f := runFakes(t, quick, func(f *fakes) {
		f.store.request = func(context.Context, []*envelope.Request) error {
			if tries++; tries <= 3 {
				return fmt.Errorf("%w: connection refused", ledger.ErrUnavailable)
			}
			close(entered)
			<-finish
			return nil
		}
	})
	m, handle := wishes(1, []*envelope.Donation{gift("ada with two cards", "harbour")}, card("ada with two cards"))
	f.source.push(m)
	<-entered
	f.store.mu.Lock()
	if len(f.store.recorded) != 1 {
		t.Errorf("%d donations recorded before the requests about them", len(f.store.recorded))
	}
	f.store.mu.Unlock()
	if n := handle.acks.Load(); n != 0 {
		t.Fatalf("acknowledged %d times before the request was stored", n)
	}
	close(finish)
	eventually(t, "the message is acknowledged", func() bool { return handle.acks.Load() == 1 })
	f.stop()
	if len(f.store.requested) != 1 || len(f.store.rejected) != 0 {
		t.Errorf("%d requests stored, %d set aside", len(f.store.requested), len(f.store.rejected))
	}
}

// An envelope with nothing but requests is settled like any other.
func TestRequests_NeedNoDonation(t *testing.T) {
	f := runFakes(t, quick, nil)
	m, handle := wishes(1, nil, card("somebody"), card("somebody"), card("somebody else"))
	f.source.push(m)
	eventually(t, "the message is acknowledged", func() bool { return handle.acks.Load() == 1 })
	f.stop()
	if len(f.store.requested) != 2 || len(f.store.recorded) != 0 {
		t.Errorf("%d requests stored, %d donations recorded", len(f.store.requested), len(f.store.recorded))
	}
}

// Culprits among requests are found by halving and kept as they came; the rest is
// stored. The same holds where nobody knows why the database fails.
func TestRequests_CulpritsAreSetAside(t *testing.T) {
	for name, c := range map[string]struct {
		err    error
		reason ledger.Reason
	}{
		"refused":        {&ledger.PoisonError{Err: errors.New("23514 requests_kind_known")}, ledger.ReasonRefused},
		"without a name": {errors.New("a driver's surprise"), ledger.ReasonUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			bad := card("donor number 5")
			f := runFakes(t, quick, func(f *fakes) {
				f.store.request = func(_ context.Context, requests []*envelope.Request) error {
					if slices.ContainsFunc(requests, func(r *envelope.Request) bool { return r.ID == bad.ID }) {
						return c.err
					}
					return nil
				}
			})
			var all []*envelope.Request
			for n := range 9 {
				r := card(fmt.Sprint("donor number ", n))
				if r.ID == bad.ID {
					*r = *bad
				}
				all = append(all, r)
			}
			m, handle := wishes(7, []*envelope.Donation{gift("a donor in time", "harbour")}, all...)
			f.source.push(m)
			eventually(t, "the message is acknowledged", func() bool { return handle.acks.Load() == 1 })
			f.stop()
			if len(f.store.requested) != 8 || len(f.store.recorded) != 1 {
				t.Errorf("%d requests stored, %d donations recorded", len(f.store.requested), len(f.store.recorded))
			}
			if len(f.store.rejected) != 1 {
				t.Fatalf("%d set aside", len(f.store.rejected))
			}
			r := f.store.rejected[0]
			if r.Reason != c.reason || r.Sequence != 7 || r.Index != 6 || r.Stream != "DONATIONS_0" { // behind the donation
				t.Errorf("set aside: %+v", r)
			}
			_, err := envelope.Decode(append(envelope.AppendHeader(nil, envelope.Header{ID: [16]byte{1}}), asRecord(r.Payload)...),
				func(_ int, rec envelope.Record, _ []byte, err error) {
					if err != nil || rec.Request == nil || rec.Request.ID != bad.ID {
						t.Errorf("kept %+v, %v", rec, err)
					}
				})
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// asRecord makes a record, as the quarantine keeps it, a field of an envelope.
func asRecord(payload []byte) []byte {
	return append([]byte{4<<3 | 2, byte(len(payload))}, payload...) // short enough for one byte of length
}

// Rehearsed wishes among the donors', or the reverse, are nobody's.
func TestRequests_OfTheOtherBookAreSetAside(t *testing.T) {
	f := runFakes(t, quick, nil)
	rehearsed := card("somebody rehearsing")
	rehearsed.Rehearsal = true
	m, handle := wishes(1, nil, rehearsed, card("a donor"))
	f.source.push(m)
	eventually(t, "the message is acknowledged", func() bool { return handle.acks.Load() == 1 })
	f.stop()
	if len(f.store.requested) != 1 || len(f.store.rejected) != 1 || f.store.rejected[0].Reason != ledger.ReasonRefused {
		t.Errorf("%d stored, set aside: %+v", len(f.store.requested), f.store.rejected)
	}
}

// On real services: what a front-end's publisher was told is stored, is stored,
// once, though the broker delivers it twice.
func TestRequests_FromPublisherToTable(t *testing.T) {
	r := newRig(t)
	p := r.publisher()
	gifts := donors("with another card", 30)
	r.publish(p, gifts...)
	for _, d := range gifts {
		for _, kind := range []envelope.Kind{envelope.Attempt, envelope.Cancellation} {
			request := &envelope.Request{
				Kind: kind, ID: ingest.DeriveAttemptID(d.ID, []byte("the same key of both")), Donation: d.ID, ReceivedAt: d.ReceivedAt,
			}
			if kind == envelope.Attempt {
				request.ConfirmationToken, request.TokenExpiresAt = "ctoken_card_visa", d.TokenExpiresAt
			} else {
				request.ID = ingest.DeriveCancelLastID(d.ID, 1)
			}
			for range 2 { // as by somebody who had no answer
				if err := p.PublishRequest(ledger.Live, request); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	r.run(consumer.Config{}, r.deps())
	eventually(t, "all is acknowledged", r.drained)
	if n := r.count("SELECT count(*) FROM requests JOIN donations ON id = donation_id WHERE kind = 'attempt' AND token = 'ctoken_card_visa'"); n != 30 {
		t.Errorf("%d attempts stored, want 30", n)
	}
	if n := r.count("SELECT count(*) FROM requests WHERE kind = 'cancellation' AND token = '' AND expires_at IS NULL"); n != 30 {
		t.Errorf("%d cancellations stored, want 30", n)
	}
	if n := r.count("SELECT count(*) FROM quarantine"); n != 0 {
		t.Errorf("%d set aside", n)
	}
}
