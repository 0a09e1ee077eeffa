package web

import (
	"cmp"

	"spillway/campaigns"
	"spillway/campaigns/board"
)

// leadersShown is the length of a leaderboard: what a screen shows beside the cards.
const leadersShown = 10

// sum is what was given in one currency.
type sum struct{ Currency, Raised, Pledged string }

// pager leads to the pages of a list.
type pager struct {
	Page, Pages    string
	Previous, Next string // addresses, "" for none
}

// dayBody is what day.html shows.
type dayBody struct {
	Name, When            string
	Sums                  []sum
	Donors, Donations     string
	OpenCount             string
	ListTitle             string
	Query                 query
	Filtered              bool
	Shows, Sorts          []choice
	Found, Nothing        string
	Cards                 []figures
	Pager                 *pager
	ShowLeaders, ShowFeed bool
	ByRaised, ByDonors    []figures
	Feed                  feed
}

func (w *Web) renderDay(q query) (*sheet, error) {
	now := w.cfg.Now()
	d := w.deps.Board.Snapshot()
	event := d.Event
	if event == nil {
		if d.All == 0 && w.deps.Directory.Listing().Len() > 0 {
			return nil, campaigns.ErrWarming // a snapshot from before the campaigns were known
		}
		event = w.deps.Directory.Event()
	}
	loc := zone(event)
	p := w.newPage("day", pathDay, event)
	p.Title = p.SiteName
	p.Description = "Give to " + plural(int64(d.All), "campaign", "campaigns") + " and see what is raised, live."
	p.NoIndex = q != query{}
	b := dayBody{Name: p.SiteName, Donors: uncounted, OpenCount: count(int64(d.Open)), Query: q, Filtered: q.filtered(),
		Shows: chosen(shows, q.Phase), Sorts: chosen(sorts, string(cmp.Or(q.Sort, board.SortRaised)))}
	if event != nil {
		b.When = span(event.StartsAt, event.EndsAt, loc)
	}
	var donations int64
	for _, t := range d.Totals {
		donations += t.Donations
		b.Sums = append(b.Sums, sum{string(t.Currency), amount(t.RaisedMinor, t.Currency), amount(t.PledgedMinor, t.Currency)})
	}
	b.Donations = count(donations)
	if !d.DonorsAsOf.IsZero() {
		b.Donors = count(d.Donors)
	}
	entries := func(all []*board.Entry) []figures {
		out := make([]figures, len(all))
		for i, e := range all {
			out[i] = figuresOf(e.Campaign, e.Total, e.Wall, e.PhaseAt(now), loc, now)
			out[i].Cover = coverOf(e.Campaign, true)
		}
		return out
	}
	found, total := d.Search(q.filter())
	b.Cards = entries(found)
	b.list(q, total)
	if b.ShowLeaders = p.Data.Switches.Leaderboards; b.ShowLeaders {
		b.ByRaised, b.ByDonors = entries(d.LeadersByRaised(leadersShown)), entries(d.LeadersByDonors(leadersShown))
	}
	if b.ShowFeed = p.Data.Switches.Feed; b.ShowFeed {
		b.Feed = w.feedOf("day", d.Wall, now)
	}
	p.Body = b
	return w.finish(p, d.AsOf, loc, now)
}

// list says what was found, and leads to the other pages of it.
func (b *dayBody) list(q query, total int) {
	b.ListTitle = "Campaigns"
	switch {
	case q.Phase == "open":
		b.ListTitle = "Open campaigns"
	case q.Phase == "upcoming":
		b.ListTitle = "Campaigns to come"
	case q.Phase == "closed":
		b.ListTitle = "Closed campaigns"
	}
	b.Found = plural(int64(total), "campaign", "campaigns")
	if q.Text != "" {
		b.Found += " for “" + q.Text + "”"
	}
	pages := (total + cardsPerPage - 1) / cardsPerPage
	at := max(1, q.Page)
	b.Nothing = "There are no campaigns yet."
	switch {
	case total > 0:
		b.Nothing = "This page is empty: the list has become shorter."
	case b.Filtered:
		b.Nothing = "Nothing is called that. Try fewer or shorter words."
	}
	if pages < 2 && at == 1 {
		return
	}
	link := func(n int) string {
		q.Page = n
		return pathDay + q.encode()
	}
	b.Pager = &pager{Page: count(int64(at)), Pages: count(int64(max(1, pages)))}
	if at > 1 {
		b.Pager.Previous = link(min(at-1, max(1, pages)))
	}
	if at < pages {
		b.Pager.Next = link(at + 1)
	}
}
