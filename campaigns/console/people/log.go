package people

import (
	"strconv"
	"time"

	"spillway/campaigns/access"
	"spillway/campaigns/console/frame"
)

// entryDocument is an entry of the audit log as JSON.
type entryDocument struct {
	ID      int64     `json:"id"`
	At      time.Time `json:"at"`
	Actor   string    `json:"actor,omitempty"`
	Name    string    `json:"name"`
	Network string    `json:"network,omitempty"`
	Action  string    `json:"action"`
	Subject string    `json:"subject,omitempty"`
	Detail  string    `json:"detail,omitempty"`
}

// logPage is what log.html shows.
type logPage struct {
	Entries                      []access.Entry
	Next                         string
	Who, Action, Subject, On, To string
}

// log shows the audit log, newest first.
func (s *Section) log(r *frame.Request) error {
	limit, err := limitOf(r)
	if err != nil {
		return err
	}
	p := logPage{Who: r.Query("name"), Action: r.Query("action"), Subject: r.Query("subject"), On: r.Query("from"), To: r.Query("to")}
	q := access.LogQuery{Name: p.Who, Action: p.Action, Subject: p.Subject, Limit: limit + 1}
	var faults []frame.Field
	if after := r.Query("after"); after != "" {
		if q.Before, err = strconv.ParseInt(after, 10, 64); err != nil || q.Before < 1 {
			faults = append(faults, frame.Field{Name: "after", Code: "invalid", Detail: "What the page before said in next."})
		}
	}
	day := func(name, text string, plus int) time.Time {
		if text == "" {
			return time.Time{}
		}
		if t, err := time.Parse(time.RFC3339, text); err == nil {
			return t
		}
		t, err := time.Parse(time.DateOnly, text)
		if err != nil {
			faults = append(faults, frame.Field{Name: name, Code: "invalid", Detail: "A day such as 2026-11-22, or a time of RFC 3339."})
		}
		return t.AddDate(0, 0, plus)
	}
	q.From, q.To = day("from", p.On, 0), day("to", p.To, 1)
	if len(faults) > 0 {
		return frame.Invalid(faults...)
	}
	if p.Entries, err = s.store.Log(r.Context(), q); err != nil {
		return err
	}
	if len(p.Entries) > limit {
		p.Entries = p.Entries[:limit]
		p.Next = strconv.FormatInt(p.Entries[limit-1].ID, 10)
	}
	if !r.WantsJSON() {
		return r.Page("Audit log", logTemplate, p)
	}
	items := make([]entryDocument, len(p.Entries))
	for i, e := range p.Entries {
		items[i] = entryDocument(e)
	}
	return r.Reply(200, map[string]any{"items": items, "next": p.Next})
}
