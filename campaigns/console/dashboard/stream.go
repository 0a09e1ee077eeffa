package dashboard

import (
	"bufio"
	"context"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"

	"spillway/campaigns/console/frame"
)

const (
	// streamLongest is how long a stream lasts. Browsers come again by themselves, and
	// are asked then who they are: a session that ended sees nothing for longer than this.
	streamLongest = time.Minute
	// happeningsSent is how many happenings every event repeats, so that one that was
	// missed is seen with the next; happeningsShown is how many a page begins with.
	happeningsSent  = 8
	happeningsShown = 60
)

// document is the whole dashboard as JSON: the moment, what is wrong, what happened,
// and the history.
func (s *Section) document(r *frame.Request) error {
	now := s.shown.Load()
	body, err := s.compose(now.Moment, happeningsMax)
	if err != nil {
		return err
	}
	body = append(body[:len(body)-1], `,"history":`...)
	body = append(s.history.AppendJSON(body), '}')
	r.Raw().SetContentType("application/json")
	r.Raw().SetStatusCode(200)
	r.Raw().SetBody(body)
	return nil
}

// composed is a moment with what people read of it.
type composed struct {
	Moment     *Moment           `json:"moment"`
	Figures    map[string]Figure `json:"figures"`
	Troubles   []Trouble         `json:"troubles"`
	Happenings []Happening       `json:"happenings"`
}

func (s *Section) compose(m *Moment, happenings int) ([]byte, error) {
	return json.Marshal(composed{m, figures(m), s.journal.wrong(), s.journal.newest(happenings)}, json.Deterministic(true))
}

// event is the moment as a server-sent event, with its point of the history.
func (s *Section) event(m *Moment, p *point) []byte {
	body, err := s.compose(m, happeningsSent)
	if err != nil {
		s.log.Error("the dashboard's moment cannot be written", "err", err)
		return nil
	}
	b := append([]byte("id: "), strconv.FormatInt(m.Number, 10)...)
	b = append(b, "\nevent: moment\ndata: "...)
	b = append(b, body[:len(body)-1]...)
	b = append(b, `,"point":`...)
	b = p.appendJSON(b)
	return append(b, "}\n\n"...)
}

// live streams every moment from now on.
func (s *Section) live(r *frame.Request) error {
	r.Raw().Response.Header.Set("Cache-Control", "no-store")
	return r.Stream("text/event-stream", streamLongest, func(ctx context.Context, w *bufio.Writer) error {
		if _, err := w.WriteString("retry: 500\n\n"); err != nil {
			return err
		}
		for {
			now := s.shown.Load()
			if _, err := w.Write(now.event); err != nil {
				return err
			}
			if err := w.Flush(); err != nil {
				return err
			}
			select {
			case <-ctx.Done():
				return nil
			case <-now.next:
			}
		}
	})
}
