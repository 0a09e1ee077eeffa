package postgres_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"spillway/ingest/envelope"
	"spillway/ledger/payments"
)

func TestQueue_DescribesWhatWaits(t *testing.T) {
	r := newRig(t)
	r.pace(t, 10)
	empty, err := r.Queue(t.Context(), account, endpoint)
	if err != nil || empty != (payments.QueueState{PerSecond: 10}) {
		t.Errorf("empty, the queue is %+v, %v", empty, err)
	}
	var batch []*envelope.Donation
	for i := range 100 {
		batch = append(batch, expiring(fmt.Sprint("soon ", i), 1))
	}
	for i := range 100 {
		batch = append(batch, expiring(fmt.Sprint("patient ", i), 600))
	}
	r.give(t, batch...)
	r.expand(t)
	r.give(t, gift("not expanded", "harbour"), gift("nor this", "harbour"))
	r.exec(t, "UPDATE attempts SET state = 2, params = 'p', first_called_at = now() WHERE donation_id = $1", batch[199].ID)
	r.exec(t, "UPDATE attempts SET state = 3, action_by = now() WHERE donation_id = $1", batch[198].ID)
	r.SetPace(t.Context(), account, endpoint, 0.5, "test")
	s := r.figures(t, func(s payments.QueueState) bool { return s.Unexpanded == 2 && s.PerSecond == 0.5 })
	if s.Due != 198 || s.Calling != 1 || s.RequiresAction != 1 || s.Unexpanded != 2 || s.PerSecond != 0.5 {
		t.Errorf("the queue is %+v", s)
	}
	if !s.EarliestExpiry.Equal(earliest(batch)) {
		t.Errorf("the first token expires at %v, want %v", s.EarliestExpiry, earliest(batch))
	}
	if waits := time.Since(s.OldestDue); waits < 0 || waits > patience {
		t.Errorf("the oldest waits for %v", waits)
	}
	// At one in two seconds at most 60 of the hundred are called before they expire.
	if s.Late < 40 || s.Late > 100 {
		t.Errorf("%d come too late", s.Late)
	}
	if n := r.count(t, "SELECT due FROM queue_figures WHERE per_second = 0.5"); n != 200 {
		t.Errorf("noted for donors' questions: %d due", n)
	}
	if err := r.Pause(t.Context(), account, payments.EndpointAll, "test"); err != nil {
		t.Fatal(err)
	}
	if s := r.figures(t, func(s payments.QueueState) bool { return s.PerSecond == 0 }); s.Late != 198 {
		t.Errorf("paused, %d come too late of 198", s.Late)
	}
}

// figures asks until what was counted is fresh enough.
func (r *rig) figures(t testing.TB, fresh func(payments.QueueState) bool) payments.QueueState {
	t.Helper()
	for deadline := time.Now().Add(patience); ; {
		s, err := r.Queue(context.Background(), account, endpoint)
		if err != nil {
			t.Fatal(err)
		}
		if fresh(s) {
			return s
		}
		if time.Now().After(deadline) {
			t.Fatalf("the figures stay %+v", s)
		}
	}
}

func earliest(donations []*envelope.Donation) time.Time {
	first := donations[0].TokenExpiresAt
	for _, d := range donations {
		if d.TokenExpiresAt.Before(first) {
			first = d.TokenExpiresAt
		}
	}
	return first
}

func TestOverdue_FindsWhatATimeHasPassedFor(t *testing.T) {
	r := newRig(t)
	r.pace(t, ample)
	expired, surplus, called, acting, forgotten, looking, fine := expiring("expired", 10), expiring("surplus", 11), expiring("called", 10),
		expiring("acting", 60), expiring("forgotten", 60), expiring("looking", 60), expiring("fine", 600)
	r.give(t, expired, surplus, called, acting, forgotten, looking, fine)
	r.expand(t)
	r.exec(t, "UPDATE attempts SET tier = 2 WHERE donation_id = $1", surplus.ID)
	r.exec(t, "UPDATE attempts SET tier = 1, first_called_at = now(), params = 'p' WHERE donation_id = $1", called.ID)
	r.exec(t, "UPDATE attempts SET state = 3, first_called_at = now(), action_by = now() + interval '5 minutes' WHERE donation_id = $1", acting.ID)
	r.exec(t, "UPDATE attempts SET state = 2, params = 'p', first_called_at = now() - interval '19 hours 50 minutes', look_first = ($1 = donation_id) WHERE donation_id IN ($1, $2)", looking.ID, forgotten.ID)
	if facts, err := r.Overdue(t.Context(), time.Now(), 10); len(facts) != 0 || err != nil {
		t.Errorf("before any time has passed: %+v, %v", facts, err)
	}
	now := time.Now().Add(20 * time.Minute)
	if facts, err := r.Overdue(t.Context(), now, 10); len(facts) != 0 || err != nil {
		t.Errorf("by a clock that is ahead of the database's: %+v, %v", facts, err)
	}
	r.offset = 20 * time.Minute
	facts, err := r.Overdue(t.Context(), now, 10)
	if err != nil {
		t.Fatal(err)
	}
	got := map[[16]byte]payments.OvertimeKind{}
	for _, f := range facts {
		if f.Source != payments.FromClock || !f.At.Equal(now) || f.Overtime == nil || f.Overtime.AttemptNo != 1 {
			t.Errorf("fact %+v", f)
			continue
		}
		got[f.Donation] = f.Overtime.Kind
	}
	want := map[[16]byte]payments.OvertimeKind{
		expired.ID: payments.TokenExpired, surplus.ID: payments.TokenExpired, acting.ID: payments.ActionExpired, forgotten.ID: payments.KeyForgotten,
	}
	if fmt.Sprint(got) != fmt.Sprint(want) || len(facts) != len(want) {
		t.Errorf("overdue are %v, want %v", got, want)
	}
	if facts, err := r.Overdue(t.Context(), now, 1); len(facts) != 3 || err != nil {
		t.Errorf("one of each kind: %d, %v", len(facts), err)
	}
	// Its cancellation is on its way already.
	r.exec(t, "UPDATE payments SET cancel = 2 WHERE donation_id = $1", acting.ID)
	if facts, err := r.Overdue(t.Context(), now, 10); len(facts) != 3 || err != nil {
		t.Errorf("after the cancellation: %d, %v", len(facts), err)
	}
}

func TestStuck_CountsWhatTheProcessorIsAskedAbout(t *testing.T) {
	r := newRig(t)
	ago := func(d time.Duration) time.Time { return time.Now().Add(-d) }
	if n, since, err := r.Stuck(t.Context(), ago(2*time.Minute)); n != 0 || !since.IsZero() || err != nil {
		t.Errorf("an empty queue: %d since %v, %v", n, since, err)
	}
	r.give(t, expiring("one", 60), expiring("two", 60), expiring("three", 60))
	r.expand(t)
	r.exec(t, "UPDATE attempts SET state = 4, first_called_at = now() - interval '1 minute'")
	if n, _, err := r.Stuck(t.Context(), ago(2*time.Minute)); n != 0 || err != nil {
		t.Errorf("called later: %d, %v", n, err)
	}
	n, since, err := r.Stuck(t.Context(), time.Now())
	if age := time.Since(since); n != 3 || err != nil || age < time.Minute || age > time.Minute+patience {
		t.Errorf("called before: %d since %v, %v", n, since, err)
	}
	// The intent of a second card is as old as the first one's call: that is where it
	// is listed.
	r.exec(t, "UPDATE attempts SET state = 5, first_called_at = now() - interval '3 hours'")
	r.exec(t, `INSERT INTO attempts (donation_id, attempt_no, state, source, token, token_expires_at, not_before, first_called_at, changed_at)
		SELECT donation_id, 2, 4, source, 'another', now() + interval '1 hour', now(), now() - interval '5 minutes', now() FROM attempts`)
	n, since, err = r.Stuck(t.Context(), ago(2*time.Minute))
	if age := time.Since(since); n != 3 || err != nil || age < 3*time.Hour {
		t.Errorf("with second cards: %d since %v, %v", n, since, err)
	}
	// A capture that an event told, without its fee, is asked about as well.
	r.exec(t, "UPDATE attempts SET state = 7")
	r.exec(t, "UPDATE payments SET charge = 'ch_1', captured_minor = 1, captured_at = now() - interval '1 minute'")
	if n, _, err := r.Stuck(t.Context(), ago(2*time.Minute)); n != 0 || err != nil {
		t.Errorf("captured later, without a fee: %d, %v", n, err)
	}
	n, since, err = r.Stuck(t.Context(), time.Now())
	if age := time.Since(since); n != 3 || err != nil || age < 3*time.Hour {
		t.Errorf("captured before, without a fee: %d since %v, %v", n, since, err)
	}
	r.exec(t, "UPDATE payments SET fee_minor = 0, fee_currency = 'USD'")
	if n, _, err := r.Stuck(t.Context(), time.Now()); n != 0 || err != nil {
		t.Errorf("once the fee is known: %d, %v", n, err)
	}
}
