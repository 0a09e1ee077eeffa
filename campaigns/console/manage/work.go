package manage

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"spillway/campaigns"
	"spillway/campaigns/access"
	"spillway/campaigns/console/frame"
	"spillway/campaigns/console/manage/plan"
	"spillway/ledger"
	"spillway/ledger/payments"
)

const (
	// workPoll is how often it is looked whether another process left an import behind.
	workPoll = 5 * time.Second
	// workHold is how long an import stays with the process that carries it out, without
	// a sign of life.
	workHold = 30 * time.Second
	// giftsTold is after how many gifts the progress is told.
	giftsTold = 25
	// bookedPoll is the pace at which it is looked whether all gifts are booked.
	bookedPoll = 250 * time.Millisecond
	// endTimeout bounds writing down how an import ended while everything stops.
	endTimeout = 5 * time.Second
)

// Run carries out imports that somebody had applied, until ctx ends: one of each kind at
// a time, also those that another process left behind. Gifts that wait for a payments
// process hold no campaigns up. An import that is under way when ctx ends goes on in the
// next process: each of its steps may be repeated.
func (s *Section) Run(ctx context.Context, log *slog.Logger) error {
	var kinds sync.WaitGroup
	for kind, wake := range s.wake {
		kinds.Go(func() { s.work(ctx, log, kind, wake) })
	}
	kinds.Wait()
	return nil
}

// work carries out imports of one kind.
func (s *Section) work(ctx context.Context, log *slog.Logger, kind string, wake <-chan struct{}) {
	look := time.NewTicker(workPoll)
	defer look.Stop()
	for {
		for ctx.Err() == nil {
			i, err := s.Imports.Claim(ctx, kind, s.holder, workHold)
			if err != nil && ctx.Err() == nil && !errors.Is(err, ledger.ErrUnavailable) {
				log.Error("imports cannot be looked for", "err", err)
			}
			if err != nil || i == nil {
				break
			}
			if err := s.carryOut(ctx, i); err != nil && ctx.Err() == nil {
				// It stays with nobody once its time is over, and is taken up again.
				log.Warn("import is interrupted and will be taken up again", "import", i.ID, "err", err)
				break
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-wake:
		case <-look.C:
		}
	}
}

// carryOut does what an import's plan says, and writes down how it ended.
func (s *Section) carryOut(ctx context.Context, i *plan.Import) error {
	do, err := s.planOf(ctx, i.ID)
	if err != nil {
		return err
	}
	if do == nil {
		return fmt.Errorf("import %s: %w", i.ID, plan.ErrNoImport)
	}
	var state plan.State
	var outcome string
	if i.Kind == plan.OfCampaigns {
		state, outcome, err = s.putAll(ctx, i, do)
	} else {
		state, outcome, err = s.bookAll(ctx, i, do)
	}
	if err != nil {
		return err
	}
	// What was done is done: that it ended is written down although everything stops.
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
	defer cancel()
	done := i.Total
	if state == plan.Failed {
		done = 0
	}
	err = s.Auditor.Audit(last, access.Entry{Actor: i.ActorID, Name: i.Actor, Network: i.Network, Action: "import.ended", Subject: i.ID,
		Detail: fmt.Sprintf("%s: %s File sha256 %x.", state, outcome, i.SHA256)})
	if err != nil {
		return err
	}
	return s.Imports.End(last, i.ID, s.holder, state, done, outcome)
}

// putAll stores all campaigns or none, and reads them back. Done before already, by a
// process that died before it could say so, it finds them as they were planned.
func (s *Section) putAll(ctx context.Context, i *plan.Import, do *doing) (plan.State, string, error) {
	stand, _, err := s.standing(ctx, do.Put)
	if err != nil {
		return "", "", err
	}
	if stand < len(do.Put) {
		_, err := s.Campaigns.PutIf(ctx, do.Put...)
		switch {
		case errors.Is(err, ledger.ErrUnavailable):
			return "", "", err
		case errors.Is(err, campaigns.ErrOvertaken):
			return plan.Failed, "Nothing was changed: campaigns of the file were made or changed by somebody else since it was read. Read the file again to see how it stands now.", nil
		case err != nil && ctx.Err() != nil:
			return "", "", err
		case err != nil:
			return plan.Failed, "Nothing was changed: the database refused it: " + sentence(err.Error()), nil
		}
		s.Nudge()
	}
	stand, after, err := s.standing(ctx, do.Put)
	if err != nil {
		return "", "", err
	}
	c := i.Summary.Counts
	outcome := fmt.Sprintf("Campaigns: %d made, %d changed, %d as they were. All of them and their goals before: %s; after: %s.", c.New, c.Changed, c.Unchanged, i.Summary.Before, after)
	switch {
	case stand < len(do.Put):
		outcome += fmt.Sprintf(" Read back, %d of %d are as planned; the others were changed by somebody else right after.", stand, len(do.Put))
	case after.String() != i.Summary.After.String():
		outcome += fmt.Sprintf(" Read back, all are as planned; others were made or changed meanwhile, so the totals are not the planned %s.", i.Summary.After)
	default:
		outcome += " Read back, all are as planned, and so are the totals."
	}
	return plan.Done, outcome, nil
}

// standing tells how many campaigns are stored as they were planned, and how all stand.
func (s *Section) standing(ctx context.Context, put []*campaigns.Campaign) (same int, sums plan.Sums, err error) {
	all := map[string]*campaigns.Campaign{}
	if err := s.every(ctx, func(c *campaigns.Campaign) { all[c.Slug] = c }); err != nil {
		return 0, nil, err
	}
	for _, c := range put {
		if held := all[c.Slug]; held != nil && sameCampaign(held, c) {
			same++
		}
	}
	sums, err = goals(all, nil)
	return same, sums, err
}

// bookAll hands every gift in, and waits until all are booked. A gift that was handed in
// before is booked once all the same.
func (s *Section) bookAll(ctx context.Context, i *plan.Import, do *doing) (plan.State, string, error) {
	book := do.Book
	if i.LeaveOut {
		var err error
		if book, _, err = (&plan.Gifts{Rows: do.Rows, Book: do.Book, Of: do.Of}).Unwarned(); err != nil {
			return "", "", err
		}
	}
	planned := plan.Sums(nil)
	ids := make([][16]byte, len(book))
	for n, o := range book {
		ids[n] = o.ID
		var err error
		if planned, err = planned.Add(o.Currency, o.AmountMinor); err != nil {
			return "", "", err
		}
	}
	for n := min(i.Done, len(book)); n < len(book); n++ {
		if err := s.Commands.Command(ctx, book[n].Command(i.Actor, s.Now())); err != nil {
			return "", "", err
		}
		if (n+1)%giftsTold == 0 || n+1 == len(book) {
			if err := s.Imports.Progress(ctx, i.ID, s.holder, n+1, workHold); err != nil {
				return "", "", err
			}
		}
	}
	results, err := s.booked(ctx, i, ids)
	if err != nil {
		return "", "", err
	}
	refused := 0
	for _, result := range results {
		if result.Word != payments.CommandDone {
			refused++
		}
	}
	sums, err := s.Imports.Total(ctx, ids)
	if err != nil {
		return "", "", err
	}
	outcome := fmt.Sprintf("%s handed in; the journal holds %s of them.", frame.Plural(len(book), "gift", "gifts"), sums)
	if left := len(do.Book) - len(book); left > 0 {
		outcome += fmt.Sprintf(" %s with a warning left out.", frame.Plural(left, "row", "rows"))
	}
	switch {
	case refused > 0:
		outcome += fmt.Sprintf(" %d were refused by the ledger; they are listed among the offline gifts.", refused)
	case sums.String() != planned.String():
		outcome += fmt.Sprintf(" Planned was %s: have the books looked at.", planned)
	default:
		outcome += " That is what was planned, to the cent."
	}
	return plan.Done, outcome, nil
}

// booked waits until it is known what became of every gift. While no payments process
// runs that is as long as it takes: they are on the broker's disk.
func (s *Section) booked(ctx context.Context, i *plan.Import, ids [][16]byte) (map[[16]byte]payments.CommandResult, error) {
	look := time.NewTicker(bookedPoll)
	defer look.Stop()
	told := s.Now()
	for {
		results, err := s.Imports.Outcomes(ctx, ids)
		if err != nil {
			return nil, err
		}
		if len(results) == len(ids) {
			return results, nil
		}
		if now := s.Now(); now.Sub(told) > workHold/3 {
			if err := s.Imports.Progress(ctx, i.ID, s.holder, len(ids), workHold); err != nil {
				return nil, err
			}
			told = now
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-look.C:
		}
	}
}
