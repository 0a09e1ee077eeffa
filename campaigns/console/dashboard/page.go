package dashboard

import (
	"html/template"
	"strings"

	"spillway/campaigns/console/frame"
)

// pageData is what board.html shows before its script takes over.
type pageData struct {
	*Moment
	Day, Machine []Tile
	Figures      map[string]Figure
	Charts       []Chart
	Troubles     []Trouble
	Happenings   []Happening
	Currency     string // of the money chart
	Exponent     int
	Wall         bool
}

// Tile is a tile with its figure.
func (d pageData) Tile(t Tile) any {
	return struct {
		Tile
		Figure Figure
	}{t, d.Figures[t.Key]}
}

func (s *Section) pageData(wall bool) pageData {
	m := s.Now()
	d := pageData{Moment: m, Day: dayTiles, Machine: machineTiles, Figures: figures(m), Charts: charts,
		Troubles: s.journal.wrong(), Happenings: s.journal.newest(happeningsShown), Wall: wall}
	if len(m.Totals) > 0 {
		d.Currency, d.Exponent = string(m.Totals[0].Currency), m.Totals[0].Currency.Exponent()
	}
	return d
}

// page is the dashboard.
func (s *Section) page(r *frame.Request) error {
	return r.Page("Dashboard", s.pages.dashboard, s.pageData(false))
}

// wallPage is the dashboard for a screen on the wall: no menu, large figures.
func (s *Section) wallPage(r *frame.Request) error {
	var b strings.Builder
	if err := s.pages.wall.Execute(&b, s.pageData(true)); err != nil {
		return err
	}
	return r.Content(frame.Content{Title: "Wall", HTML: template.HTML(b.String()), Bare: true})
}
