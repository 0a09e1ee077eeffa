package loadtest

import (
	"context"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"spillway/campaigns"
	"spillway/loadtest/gift"
	"spillway/loadtest/record"
)

// Places of the probes' campaigns after those of the source.
const (
	probeOne = iota
	probeTwo
	probeThree
	probeLater   // opens in a far future
	probeNowhere // does not exist
	probeOpens   // opens in the middle of the run
	probeCloses  // closes in the middle of the run
	probeCampaigns
)

var probeNames = [probeCampaigns]string{"one", "two", "three", "later", "nowhere", "opens", "closes"}

var (
	// alwaysOpen is when the run's campaigns opened: the same in every session, so
	// that making them again changes nothing.
	alwaysOpen = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	farFuture  = time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)
)

// Where in the run the edges lie, as parts of its length, and what the least
// length is that leaves time around them.
const (
	opensPart  = 0.4
	closesPart = 0.6
	edgesLeast = 4 * time.Second
)

// campaignsAtOnce is how many campaigns are made at once: a statement of modest size.
const campaignsAtOnce = 500

// plan is the campaigns of a run: the source's by their index, then the probes'.
type plan struct {
	run       *gift.Run
	campaigns []record.Campaign
	rows      int // how many are the source's
	// edges tells whether the campaigns that open and close in the run were made for
	// this session or one that it resumes; otherwise their hours mean nothing.
	edges bool
}

// probe is the index of a probe's campaign.
func (p *plan) probe(which int) int32 { return int32(p.rows + which) }

// makePlan lists the campaigns, as the record has them or anew, and writes them
// into the record. Those that open and close in the run are made later.
func makePlan(cfg *Config, run *gift.Run, h *history, w *record.Writer) (*plan, error) {
	source := cfg.Source.Campaigns()
	p := &plan{run: run, rows: len(source)}
	if len(h.campaigns) >= len(source) && len(h.campaigns) > 0 {
		p.campaigns = h.campaigns
		return p, nil
	}
	if len(h.campaigns) > 0 {
		return nil, fmt.Errorf("the record was cut off while its campaigns were written; remove it: %w", ErrConfig)
	}
	for _, c := range source {
		p.campaigns = append(p.campaigns, record.Campaign{Slug: run.Slug(c.Name), Name: c.Name, Currency: c.Currency,
			Rows: c.Rows, SumMinor: c.SumMinor, StartsAt: alwaysOpen})
	}
	if cfg.Probes {
		for i := range probeOpens {
			// No source can hold a name with a NUL in it, so the slugs stay apart.
			c := record.Campaign{Slug: run.Slug("\x00" + probeNames[i]), Currency: "USD", StartsAt: alwaysOpen}
			switch i {
			case probeLater:
				c.StartsAt = farFuture
			case probeNowhere:
				c.Absent = true
			}
			p.campaigns = append(p.campaigns, c)
		}
	}
	_, err := w.Campaigns(p.campaigns)
	return p, err
}

// addEdges makes the two campaigns whose hours begin and end in the run, which
// starts at start and lasts span or longer. Where they are from an earlier session their
// hours stay, and only a resumed run still uses them.
func (p *plan) addEdges(ctx context.Context, store Campaigns, w *record.Writer, resume bool, start time.Time, span time.Duration) error {
	if len(p.campaigns) == p.rows+probeCampaigns {
		p.edges = resume
		return nil
	}
	if len(p.campaigns) != p.rows+probeOpens {
		return fmt.Errorf("the record was cut off while its campaigns were written; remove it: %w", ErrConfig)
	}
	at := func(part float64) time.Time {
		return start.Add(time.Duration(part * float64(span))).UTC().Truncate(time.Millisecond)
	}
	opens := record.Campaign{Slug: p.run.Slug("\x00" + probeNames[probeOpens]), Currency: "USD", StartsAt: at(opensPart)}
	closes := record.Campaign{Slug: p.run.Slug("\x00" + probeNames[probeCloses]), Currency: "USD", StartsAt: alwaysOpen, EndsAt: at(closesPart)}
	p.edges = true
	for _, c := range []*record.Campaign{&opens, &closes} {
		stored, err := store.Get(ctx, c.Slug)
		if errors.Is(err, campaigns.ErrUnknown) {
			continue
		}
		if err != nil {
			return err
		}
		// The run was there before, and its record is gone: its hours hold.
		c.StartsAt, c.EndsAt, p.edges = stored.StartsAt, stored.EndsAt, false
	}
	p.campaigns = append(p.campaigns, opens, closes)
	_, err := w.Campaigns([]record.Campaign{opens, closes})
	return err
}

// put makes the campaigns from index `from` on in the database.
func (p *plan) put(ctx context.Context, store Campaigns, from int) error {
	var all []*campaigns.Campaign
	flush := func() error {
		if len(all) == 0 {
			return nil
		}
		_, err := store.Put(ctx, all...)
		all = all[:0]
		return err
	}
	for i := from; i < len(p.campaigns); i++ {
		c := &p.campaigns[i]
		if c.Absent {
			continue
		}
		name := c.Name
		if name == "" {
			name = "probe " + probeNames[i-p.rows]
		}
		all = append(all, &campaigns.Campaign{Slug: c.Slug, Name: displayName(p.run.Name(), name), Organisation: "Rehearsal",
			Currency: c.Currency, StartsAt: c.StartsAt, EndsAt: c.EndsAt, Rehearsal: true})
		if len(all) == campaignsAtOnce {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// displayName is what people see of a rehearsal's campaign.
func displayName(run, name string) string {
	text := "Rehearsal " + run + ": " + name
	for utf8.RuneCountInString(text) > campaigns.NameCharsMax {
		_, size := utf8.DecodeLastRuneInString(text)
		text = text[:len(text)-size]
	}
	return text
}
