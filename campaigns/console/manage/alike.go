package manage

import (
	"context"
	"fmt"
	"sync"
	"time"

	"spillway/campaigns/access"
	"spillway/campaigns/console/manage/plan"
)

const (
	// alikeBefore and alikeAfter are the days around a gift in which another one may be
	// the same: a cheque of the day arrives within a fortnight.
	alikeBefore = 14 * 24 * time.Hour
	alikeAfter  = 7 * 24 * time.Hour
	// offlineCompared is how many of the newest offline gifts are compared with: years of
	// a giving day's.
	offlineCompared = 20_000
	// offlinePage is how many are read at once.
	offlinePage = 5000
	// compareTimeout bounds comparing a whole file with the online gifts; what is not
	// compared by then is told.
	compareTimeout = 20 * time.Second
	// comparers is how many comparisons are under way at once: searching yields to giving.
	comparers = 3
	// alikeNamed is how many online gifts a warning names.
	alikeNamed = 3
)

// offlineIndex finds offline gifts that look alike.
type offlineIndex struct {
	byReference map[string]*plan.Booked   // kind and plain reference
	byAmount    map[string][]*plan.Booked // campaign, kind, amount
}

func referenceKey(o *plan.Offline) string {
	return string(o.Kind) + " " + plan.PlainReference(o.Reference)
}

func amountKey(o *plan.Offline) string {
	return fmt.Sprintf("%s %s %d %s", o.Campaign, o.Kind, o.AmountMinor, o.Currency)
}

// offline reads the newest offline gifts, of whatever campaign: a cheque's number counts
// everywhere.
func (s *Section) offline(ctx context.Context) (*offlineIndex, error) {
	index := &offlineIndex{map[string]*plan.Booked{}, map[string][]*plan.Booked{}}
	after := ""
	for read := 0; read < offlineCompared; read += offlinePage {
		all, next, err := s.Imports.Gifts(ctx, nil, after, offlinePage)
		if err != nil {
			return nil, err
		}
		for _, b := range all {
			if b.Refused != "" || !b.ReversedAt.IsZero() {
				continue
			}
			if b.Reference != "" {
				index.byReference[referenceKey(&b.Offline)] = b
			}
			index.byAmount[amountKey(&b.Offline)] = append(index.byAmount[amountKey(&b.Offline)], b)
		}
		if after = next; next == "" {
			break
		}
	}
	return index, nil
}

// warnings say to somebody which offline gifts o looks like.
func (x *offlineIndex) warnings(o *plan.Offline, who *access.Principal) (texts []string) {
	if b := x.byReference[referenceKey(o)]; o.Reference != "" && b != nil && b.ID != o.ID {
		to := b.Campaign
		if !who.Can(access.OfflineGift, to) {
			to = "another campaign"
		}
		texts = append(texts, fmt.Sprintf("the reference is that of a gift to %s, entered %s", to, b.AskedAt.Format(time.DateOnly)))
		return texts
	}
	for _, b := range x.byAmount[amountKey(o)] {
		different := o.Reference != "" && b.Reference != "" // two references: two gifts
		if b.ID != o.ID && !different && daysApart(o.Received, b.Received) <= 3 {
			texts = append(texts, fmt.Sprintf("a gift of the same kind and amount was entered %s", b.AskedAt.Format(time.DateOnly)))
			return texts
		}
	}
	return texts
}

// daysApart is how many days lie between two days; many when one is not known.
func daysApart(a, b string) int {
	at, errA := time.Parse(time.DateOnly, a)
	bt, errB := time.Parse(time.DateOnly, b)
	if errA != nil || errB != nil {
		return 1000
	}
	d := at.Sub(bt)
	if d < 0 {
		d = -d
	}
	return int(d / (24 * time.Hour))
}

// online says to somebody which online gifts o looks like.
func (s *Section) online(ctx context.Context, o *plan.Offline, name string, who *access.Principal) (texts []string, err error) {
	if s.Lookalikes == nil {
		return nil, nil
	}
	if !who.Can(access.ViewPersonal, o.Campaign) {
		name = "" // the answer would tell who gave
	}
	day, err := time.Parse(time.DateOnly, o.Received)
	if err != nil {
		day = s.Now().UTC()
	}
	all, err := s.Lookalikes.Alike(ctx, Probe{Campaign: o.Campaign, AmountMinor: o.AmountMinor, Currency: o.Currency, Name: name, From: day.Add(-alikeBefore), To: day.Add(alikeAfter)})
	if err != nil {
		return nil, err
	}
	amounts, named := 0, 0
	for _, a := range all {
		if !a.SameName {
			amounts++
		} else if named++; named <= alikeNamed {
			texts = append(texts, fmt.Sprintf("an online gift by the same name: donation %s of %s", a.Donation, a.At.Format(time.DateOnly)))
		}
	}
	switch {
	case amounts == 1:
		texts = append(texts, "an online gift of the same amount to the same campaign in these days")
	case amounts > 1:
		texts = append(texts, "several online gifts of the same amount to the same campaign in these days")
	}
	return texts, nil
}

// compare adds to each row what it looks like. notice says what was not compared; it is
// "" when all was.
func (s *Section) compare(ctx context.Context, p *plan.Gifts, who *access.Principal) (notice string, err error) {
	index, err := s.offline(ctx)
	if err != nil {
		return "", err
	}
	for i, o := range p.Book {
		for _, text := range index.warnings(o, who) {
			p.Warn(p.Of[i], text)
		}
	}
	if s.Lookalikes == nil {
		return "The rows were not compared with online gifts.", nil
	}
	bounded, cancel := context.WithTimeout(ctx, compareTimeout)
	defer cancel()
	var group sync.WaitGroup
	var lock sync.Mutex // of what follows, and of p
	missed, turn := 0, make(chan int)
	for range comparers {
		group.Go(func() {
			for i := range turn {
				texts, err := s.online(bounded, p.Book[i], p.Names[p.Of[i]], who)
				lock.Lock()
				if err != nil {
					missed++
				}
				for _, text := range texts {
					p.Warn(p.Of[i], text)
				}
				lock.Unlock()
			}
		})
	}
	for i := range p.Book {
		turn <- i
	}
	close(turn)
	group.Wait()
	if missed > 0 {
		notice = fmt.Sprintf("%d of %d rows could not be compared with online gifts: the search did not answer in time.", missed, len(p.Book))
	}
	return notice, nil
}
