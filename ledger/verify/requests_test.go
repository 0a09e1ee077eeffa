package verify

import (
	"testing"

	"spillway/ingest"
	"spillway/ingest/envelope"
)

// cancellation is a wish about the donation.
func cancellation(d envelope.Donation) envelope.Request {
	return envelope.Request{Kind: envelope.Cancellation, ID: ingest.DeriveCancelLastID(d.ID, 1), Donation: d.ID, ReceivedAt: noon}
}

// wishes adds requests to a message.
func wishes(data []byte, requests ...envelope.Request) []byte {
	for i := range requests {
		data = envelope.AppendRequest(data, &requests[i])
	}
	return data
}

func TestStream_RequestsComparedWithTheBook(t *testing.T) {
	one := gift("key-number-one-00")
	stop, rehearsed := cancellation(one), cancellation(one)
	rehearsed.Rehearsal = true
	card := envelope.Request{
		Kind: envelope.Attempt, ID: ingest.DeriveAttemptID(one.ID, []byte("another-card-0001")), Donation: one.ID,
		ReceivedAt: noon, ConfirmationToken: "ctoken_card_visa", TokenExpiresAt: noon,
	}
	reloaded := card
	reloaded.ConfirmationToken = "ctoken_of_a_reloaded_page"
	moved, turned := card, card
	moved.Donation = gift("key-number-two-00").ID
	turned.Kind = envelope.Cancellation
	all := wishes(message(one), card, stop)
	for _, c := range []struct {
		name   string
		world  world
		broken []string
	}{
		{"what was sent is stored", world{messages: [][]byte{all}, floor: 1, requests: []envelope.Request{card, stop}}, nil},
		{"sent twice with another token", world{messages: [][]byte{wishes(all, reloaded)}, floor: 1, requests: []envelope.Request{card, stop}}, nil},
		{"a lost cancellation", world{messages: [][]byte{all}, floor: 1, requests: []envelope.Request{card}}, []string{stop.ID.String()}},
		{"one that is not acknowledged yet", world{messages: [][]byte{message(one), wishes(message(), stop)}, floor: 1}, nil},
		{"one in quarantine", world{messages: [][]byte{wishes(message(one), stop)}, floor: 1, quarantined: [][]byte{payload(t, stop)}}, nil},
		{"of another donation", world{messages: [][]byte{all}, floor: 1, requests: []envelope.Request{moved, stop}}, []string{card.ID.String()}},
		{"of another kind", world{messages: [][]byte{all}, floor: 1, requests: []envelope.Request{turned, stop}}, []string{card.ID.String()}},
		{"rehearsed among the live ones", world{messages: [][]byte{wishes(message(one), rehearsed)}, floor: 1, requests: []envelope.Request{rehearsed}},
			[]string{rehearsed.ID.String()}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := c.world
			w.first, w.rows = 1, []envelope.Donation{one}
			want := Holds
			if len(c.broken) > 0 {
				want = Broken
			}
			for _, deep := range []bool{false, true} {
				wantResult(t, result(t, w.run(t, Config{Deep: deep}), "recorded"), want, c.broken...)
			}
		})
	}
}

// payload is the bytes of a request's record, as the quarantine keeps them.
func payload(t *testing.T, r envelope.Request) (raw []byte) {
	t.Helper()
	if _, err := envelope.Decode(wishes(message(), r), func(_ int, _ envelope.Record, b []byte, _ error) { raw = b }); err != nil {
		t.Fatal(err)
	}
	return raw
}
