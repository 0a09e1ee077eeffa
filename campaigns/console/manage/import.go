package manage

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"spillway/campaigns"
	"spillway/campaigns/access"
	"spillway/campaigns/console/frame"
	"spillway/campaigns/console/manage/plan"
	"spillway/campaigns/console/manage/sheet"
	"spillway/ledger/money"
)

const (
	// importsShown is how many earlier imports a page lists.
	importsShown = 10
	// importRows is how many rows of a plan a page shows.
	importRows = 200
	// fileNameChars is how much of a file's name is kept, so that it is recognised.
	fileNameChars = 120
	// settleWait is how long the answer to "apply" waits for a small import to end.
	settleWait = 2 * time.Second
	// settlePoll is the pace at which it is looked for: one row by its key.
	settlePoll = 100 * time.Millisecond
)

// newID is 32 hex digits that nobody guesses.
func newID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails (crypto/rand)
	return hex.EncodeToString(b[:])
}

// uploadPageData is what upload.html shows.
type uploadPageData struct {
	Kind     string
	Columns  []sheet.Column
	Events   []*campaigns.Event
	Event    string
	Currency string
	Faults   []string // of the file
	Earlier  []*plan.Import
	RowsMax  int
	MiBMax   int
}

func (s *Section) uploadCampaignsPage(r *frame.Request) error {
	return s.upload(r, &uploadPageData{Kind: plan.OfCampaigns})
}
func (s *Section) uploadGiftsPage(r *frame.Request) error {
	return s.upload(r, &uploadPageData{Kind: plan.OfGifts})
}

// upload shows the form that takes a file; as JSON, the imports of the kind.
func (s *Section) upload(r *frame.Request, d *uploadPageData) (err error) {
	actor := ""
	if r.Principal.Limited() {
		actor = r.Principal.User
	}
	if d.Earlier, err = s.Imports.Imports(r.Context(), d.Kind, actor, importsShown); err != nil {
		return trouble(err)
	}
	if r.WantsJSON() {
		items := make([]importJSON, len(d.Earlier))
		for i, e := range d.Earlier {
			items[i] = importAsJSON(e, nil)
		}
		return r.Reply(200, list[importJSON]{items, ""})
	}
	d.Columns, d.RowsMax, d.MiBMax = columnsOf(d.Kind), sheet.RowsMax, sheet.FileBytesMax>>20
	title := "Import offline gifts"
	if d.Kind == plan.OfCampaigns {
		title = "Import campaigns"
		if d.Events, err = s.Campaigns.Events(r.Context()); err != nil {
			return trouble(err)
		}
		if e := theEvent(d.Events, r.Now()); e != nil && d.Event == "" && len(d.Faults) == 0 {
			d.Event = e.Slug
		}
	}
	return r.Page(title, uploadPage, d)
}

func columnsOf(kind string) []sheet.Column {
	if kind == plan.OfGifts {
		return plan.GiftColumns()
	}
	return plan.CampaignColumns()
}

func (s *Section) campaignsTemplate(r *frame.Request) error { return s.fillIn(r, plan.OfCampaigns) }
func (s *Section) giftsTemplate(r *frame.Request) error     { return s.fillIn(r, plan.OfGifts) }

// fillIn answers with a file to fill in.
func (s *Section) fillIn(r *frame.Request, kind string) error {
	columns, name := columnsOf(kind), kind
	body, contentType := sheet.TemplateCSV(columns), "text/csv; charset=utf-8"
	switch r.Query("format") {
	case "csv":
		name += ".csv"
	case "", "xlsx":
		worksheet := "Campaigns"
		if kind == plan.OfGifts {
			worksheet = "Gifts"
		}
		var err error
		if body, err = sheet.TemplateXLSX(worksheet, columns); err != nil {
			return err
		}
		name, contentType = name+".xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
	default:
		return frame.Invalid(frame.Field{Name: "format", Code: "unknown", Detail: "It is xlsx or csv."})
	}
	r.Raw().SetContentType(contentType)
	r.Raw().Response.Header.Set("Content-Disposition", `attachment; filename="`+name+`"`)
	r.Raw().SetBody(body)
	return nil
}

// doing is what applying an import does, as it is kept.
type doing struct {
	Rows []plan.Row            `json:"rows"`
	Put  []*campaigns.Campaign `json:"put,omitempty"`
	Book []*plan.Offline       `json:"book,omitempty"`
	Of   []int                 `json:"of,omitempty"`
}

func (s *Section) uploadCampaigns(r *frame.Request) error {
	d := &uploadPageData{Kind: plan.OfCampaigns, Event: r.Form("event"), Currency: strings.ToUpper(r.Form("currency"))}
	return s.read(r, d, func(t *sheet.Reading) (*doing, plan.Summary, string, error) {
		g := &plan.Ground{Campaigns: map[string]*campaigns.Campaign{}, Events: map[string]*campaigns.Event{}, Event: d.Event}
		currency, known := money.ParseCurrency([]byte(d.Currency))
		if d.Currency != "" && !known {
			return nil, plan.Summary{}, "", frame.Invalid(frame.Field{Name: "currency", Code: "unknown", Detail: "Gifts cannot be made in this currency."})
		}
		g.Currency = currency
		events, err := s.Campaigns.Events(r.Context())
		if err != nil {
			return nil, plan.Summary{}, "", trouble(err)
		}
		for _, e := range events {
			g.Events[e.Slug] = e
		}
		if _, known := g.Events[d.Event]; !known && d.Event != "" {
			return nil, plan.Summary{}, "", frame.Invalid(frame.Field{Name: "event", Code: "unknown", Detail: "There is no such giving day."})
		}
		if err := s.every(r.Context(), func(c *campaigns.Campaign) { g.Campaigns[c.Slug] = c }); err != nil {
			return nil, plan.Summary{}, "", trouble(err)
		}
		p := plan.PlanCampaigns(t, g)
		summary := plan.Summary{Counts: plan.Count(p.Rows)}
		if summary.Before, err = goals(g.Campaigns, nil); err != nil {
			return nil, summary, "", err
		}
		if summary.After, err = goals(g.Campaigns, p.Put); err != nil {
			return nil, summary, "", err
		}
		return &doing{Rows: p.Rows, Put: p.Put}, summary, "", nil
	})
}

// every calls each with every campaign.
func (s *Section) every(ctx context.Context, each func(*campaigns.Campaign)) error {
	after := ""
	for {
		some, err := s.Campaigns.List(ctx, after, scanRows)
		if err != nil {
			return err
		}
		for _, c := range some {
			each(c)
		}
		if len(some) < scanRows {
			return nil
		}
		after = some[len(some)-1].Slug
	}
}

// goals counts all campaigns that are no rehearsal's and sums their goals, with those of
// put instead of, or beside, what is there.
func goals(all map[string]*campaigns.Campaign, put []*campaigns.Campaign) (sums plan.Sums, err error) {
	instead := map[string]bool{}
	for _, c := range put {
		instead[c.Slug] = true
		if sums, err = sums.Add(c.Currency, c.GoalMinor); err != nil {
			return nil, err
		}
	}
	for _, c := range all {
		if c.Rehearsal || instead[c.Slug] {
			continue
		}
		if sums, err = sums.Add(c.Currency, c.GoalMinor); err != nil {
			return nil, err
		}
	}
	return sums, nil
}

func (s *Section) uploadGifts(r *frame.Request) error {
	d := &uploadPageData{Kind: plan.OfGifts}
	return s.read(r, d, func(t *sheet.Reading) (*doing, plan.Summary, string, error) {
		g := &plan.GiftGround{Campaigns: map[string]*campaigns.Campaign{}, Allowed: func(slug string) bool { return r.Principal.Can(access.OfflineGift, slug) }}
		if err := s.every(r.Context(), func(c *campaigns.Campaign) { g.Campaigns[c.Slug] = c }); err != nil {
			return nil, plan.Summary{}, "", trouble(err)
		}
		g.Today = s.today(r)
		p := plan.PlanGifts(t, g)
		ids := make([][16]byte, len(p.Book))
		for i, o := range p.Book {
			ids[i] = o.ID
		}
		known, err := s.Imports.Outcomes(r.Context(), ids)
		if err != nil {
			return nil, plan.Summary{}, "", trouble(err)
		}
		if err := p.Known(func(id [16]byte) bool { return known[id].Word != "" }); err != nil {
			return nil, plan.Summary{}, "", err
		}
		notice, err := s.compare(r.Context(), p, &r.Principal)
		if err != nil {
			return nil, plan.Summary{}, "", trouble(err)
		}
		return &doing{Rows: p.Rows, Book: p.Book, Of: p.Of}, plan.Summary{Counts: plan.Count(p.Rows), After: p.Sums}, notice, nil
	})
}

// today is the day on which something is asked, where the giving day is, as midnight UTC.
func (s *Section) today(r *frame.Request) time.Time {
	zone := time.UTC
	if events, err := s.Campaigns.Events(r.Context()); err == nil {
		zone = zoneOf(theEvent(events, r.Now()))
	}
	y, m, day := r.Now().In(zone).Date()
	return time.Date(y, m, day, 0, 0, 0, 0, time.UTC)
}

// read reads the file that was sent, has it planned, and keeps the plan.
func (s *Section) read(r *frame.Request, d *uploadPageData, planned func(*sheet.Reading) (*doing, plan.Summary, string, error)) error {
	select {
	case s.reading <- struct{}{}:
		defer func() { <-s.reading }()
	default:
		return frame.Busy("Other files are being read at this moment. Send yours again.")
	}
	refused := func(faults ...string) error {
		if r.WantsJSON() {
			fields := make([]frame.Field, len(faults))
			for i, f := range faults {
				fields[i] = frame.Field{Name: "file", Code: "unreadable", Detail: f}
			}
			return frame.Invalid(fields...)
		}
		d.Faults = faults
		r.Status(422)
		return s.upload(r, d)
	}
	name, data, err := r.File("file")
	if err != nil {
		var p *frame.Problem
		if errors.As(err, &p) {
			return refused("Choose a file.")
		}
		return err
	}
	table, err := sheet.Read(data)
	var refusal *sheet.Refusal
	if errors.As(err, &refusal) {
		return refused(refusal.Text)
	}
	if err != nil {
		return err
	}
	reading, faults := sheet.Match(table, columnsOf(d.Kind))
	if len(faults) > 0 {
		return refused(faults...)
	}
	do, summary, notice, err := planned(reading)
	if err != nil {
		if fault, _, ok := faultsOf(err); ok && !r.WantsJSON() {
			var texts []string
			for _, text := range fault {
				texts = append(texts, text)
			}
			return refused(texts...)
		}
		return err
	}
	body, err := json.Marshal(do)
	if err != nil {
		return fmt.Errorf("keep plan: %w", err)
	}
	i := &plan.Import{
		ID: newID(), Kind: d.Kind, CreatedAt: r.Now().Truncate(time.Microsecond), ActorID: r.Principal.User, Actor: r.Principal.Name, Network: r.Network(),
		FileName: fileName(name), SHA256: table.SHA256, Bytes: table.Bytes, Format: table.Format, Notices: reading.Notices, State: plan.Planned, Summary: summary,
	}
	if notice != "" {
		i.Notices = append(i.Notices, notice)
	}
	if err := s.Imports.Add(r.Context(), i, body); err != nil {
		return trouble(err)
	}
	if r.WantsJSON() {
		before, err := s.appliedBefore(r.Context(), i)
		if err != nil {
			return trouble(err)
		}
		return r.Reply(201, importAsJSON(i, firstRows(do.Rows, "", 0)).after(before))
	}
	return r.Redirect("/admin/"+i.Kind+"/-/imports/"+i.ID, "")
}

// fileName is what is kept of a file's name.
func fileName(name string) string {
	if at := strings.LastIndexAny(name, `/\`); at >= 0 {
		name = name[at+1:]
	}
	name = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == utf8.RuneError {
			return -1
		}
		return r
	}, name)
	if runes := []rune(name); len(runes) > fileNameChars {
		name = string(runes[:fileNameChars])
	}
	return name
}

// importJSON is an import as the admin API has it.
type importJSON struct {
	ID        string       `json:"id"`
	Kind      string       `json:"kind"`
	State     plan.State   `json:"state"`
	CreatedAt string       `json:"created_at"`
	Actor     string       `json:"actor"`
	FileName  string       `json:"file_name"`
	SHA256    string       `json:"sha256"`
	Bytes     int          `json:"bytes"`
	Format    string       `json:"format"`
	Notices   []string     `json:"notices"`
	Summary   plan.Summary `json:"summary"`
	Total     int          `json:"total"`
	Done      int          `json:"done"`
	EndedAt   string       `json:"ended_at"`
	Outcome   string       `json:"outcome"`
	Rows      []plan.Row   `json:"rows,omitempty"`
	Next      string       `json:"next,omitempty"`
	// Before is there when the same file was applied before, and this one would book more.
	Before *appliedJSON `json:"applied_before,omitempty"`
}

type appliedJSON struct {
	At string `json:"at"`
	By string `json:"by"`
}

// after is the import with what is known of the same file.
func (i importJSON) after(before *plan.Applied) importJSON {
	if before != nil {
		i.Before = &appliedJSON{rfc3339(before.At), before.By}
	}
	return i
}

// appliedBefore tells when the file of an import that waits to be applied was applied
// before; nil when it was not, or when nothing of it is left to do. Campaigns are stored
// as they stand in the file however often; gifts without a day are another day's gifts on
// another day.
func (s *Section) appliedBefore(ctx context.Context, i *plan.Import) (*plan.Applied, error) {
	if c := i.Summary.Counts; i.Kind != plan.OfGifts || i.State != plan.Planned || c.New+c.Changed == 0 {
		return nil, nil
	}
	return s.Imports.Applied(ctx, i.Kind, i.SHA256, i.ID)
}

// rowsShown is a page of a plan's rows.
type rowsShown struct {
	Rows []plan.Row
	Next string // number of the last row, "" when there is no more
}

// firstRows are the rows of an outcome, "warned" for those with a warning, behind the row
// of a number.
func firstRows(all []plan.Row, outcome string, after int) *rowsShown {
	shown := &rowsShown{}
	for i := range all {
		row := &all[i]
		if row.Number <= after || outcome != "" && string(row.Outcome) != outcome && (outcome != "warned" || len(row.Warnings) == 0) {
			continue
		}
		if len(shown.Rows) == importRows {
			shown.Next = strconv.Itoa(shown.Rows[importRows-1].Number)
			break
		}
		shown.Rows = append(shown.Rows, *row)
	}
	return shown
}

func importAsJSON(i *plan.Import, rows *rowsShown) importJSON {
	out := importJSON{ID: i.ID, Kind: i.Kind, State: i.State, CreatedAt: rfc3339(i.CreatedAt), Actor: i.Actor, FileName: i.FileName, SHA256: hex.EncodeToString(i.SHA256[:]),
		Bytes: i.Bytes, Format: i.Format, Notices: append([]string{}, i.Notices...), Summary: i.Summary, Total: i.Total, Done: i.Done, EndedAt: rfc3339(i.EndedAt), Outcome: i.Outcome}
	if rows != nil {
		out.Rows, out.Next = rows.Rows, rows.Next
	}
	return out
}

// importOf finds the import of a request, for those who may see it: whoever had the file
// read, and those who are not bound to some campaigns.
func (s *Section) importOf(r *frame.Request) (*plan.Import, error) {
	id := r.Param("id")
	if _, err := hex.DecodeString(id); err != nil || len(id) != 32 {
		return nil, frame.NotFound("import")
	}
	i, err := s.Imports.Import(r.Context(), id)
	if err != nil {
		return nil, trouble(err)
	}
	if !strings.Contains(r.Path(), "/"+i.Kind+"/-/imports/") || r.Principal.Limited() && i.ActorID != r.Principal.User {
		return nil, frame.NotFound("import")
	}
	return i, nil
}

// planOf reads what an import does; nil when it is gone.
func (s *Section) planOf(ctx context.Context, id string) (*doing, error) {
	body, err := s.Imports.Plan(ctx, id)
	if errors.Is(err, plan.ErrNoImport) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	do := &doing{}
	if err := json.Unmarshal(body, do); err != nil {
		return nil, fmt.Errorf("plan of import %s: %w", id, err)
	}
	return do, nil
}

func (s *Section) showImport(r *frame.Request) error {
	i, err := s.importOf(r)
	if err != nil {
		return err
	}
	do, err := s.planOf(r.Context(), i.ID)
	if err != nil {
		return trouble(err)
	}
	rows := &rowsShown{}
	outcome := r.Query("outcome")
	if do != nil {
		if outcome == "" && i.Summary.Counts.Refused > 0 && !r.WantsJSON() {
			outcome = string(plan.Refused)
		}
		after, _ := strconv.Atoi(r.Query("after"))
		only := outcome
		if only == "all" {
			only = ""
		}
		rows = firstRows(do.Rows, only, after)
	}
	before, err := s.appliedBefore(r.Context(), i)
	if err != nil {
		return trouble(err)
	}
	if r.WantsJSON() {
		return r.Reply(200, importAsJSON(i, rows).after(before))
	}
	return s.importForm(r, i, rows, outcome, before)
}

// importForm shows an import; while it is applied the page loads itself again.
func (s *Section) importForm(r *frame.Request, i *plan.Import, rows *rowsShown, outcome string, before *plan.Applied) error {
	var content strings.Builder
	title := "Import of campaigns"
	if i.Kind == plan.OfGifts {
		title = "Import of offline gifts"
	}
	c := &i.Summary.Counts
	err := importPage.Execute(&content, map[string]any{
		"I": i, "SHA": hex.EncodeToString(i.SHA256[:]), "Rows": rows.Rows, "Next": rows.Next, "Outcome": outcome, "Title": title,
		"ToDo": c.New + c.Changed, "Clean": c.New + c.Changed - c.Warned, "Gifts": i.Kind == plan.OfGifts, "Before": before,
	})
	if err != nil {
		return fmt.Errorf("page %q: %w", title, err)
	}
	return r.Content(frame.Content{Title: title, HTML: template.HTML(content.String()), Retry: i.State == plan.Applying})
}

func (s *Section) applyImport(r *frame.Request) error {
	var in struct {
		LeaveOutWarned bool `json:"leave_out_warned"`
		// ApplyAgain says that the same file was applied before, and that this is meant.
		ApplyAgain bool `json:"apply_again"`
	}
	if err := r.Input(&in); err != nil {
		return err
	}
	i, err := s.importOf(r)
	if err != nil {
		return err
	}
	do, err := s.planOf(r.Context(), i.ID)
	switch {
	case err != nil:
		return trouble(err)
	case do == nil || i.State != plan.Planned:
		if i.State == plan.Applying || i.State == plan.Done { // pressed twice: it is under way
			return s.applied(r, i)
		}
		return trouble(plan.ErrNotPlanned)
	case i.Summary.Counts.Refused > 0:
		return frame.Conflict("refused_rows", "Some rows are refused; nothing is done until all are right. Mend the file and send it again.")
	}
	book, total, sums := do.Book, len(do.Put), i.Summary.After
	if i.Kind == plan.OfGifts {
		for _, o := range book {
			if !r.Principal.Can(access.OfflineGift, o.Campaign) {
				return frame.Forbidden("You may not book gifts for " + o.Campaign + " any more.")
			}
		}
		p := &plan.Gifts{Rows: do.Rows, Book: do.Book, Of: do.Of}
		if in.LeaveOutWarned {
			if book, sums, err = p.Unwarned(); err != nil {
				return err
			}
		}
		total = len(book)
	}
	if total == 0 {
		return frame.Conflict("nothing_to_do", "There is nothing to do: every row is there already.")
	}
	before, err := s.appliedBefore(r.Context(), i)
	if err != nil {
		return trouble(err)
	}
	if before != nil && !in.ApplyAgain {
		return frame.Conflict("applied_before", fmt.Sprintf("This file was applied on %s by %s. Rows without a day would be booked again, as received on another day. Nothing was done; say that it is to be applied again (apply_again) if that is meant.",
			before.At.Format("2006-01-02 15:04 UTC"), before.By))
	}
	c := i.Summary.Counts
	detail := fmt.Sprintf("file sha256 %x, %d bytes; rows %d: %d new, %d changed, %d there already; %d applied; before: %s; after: %s",
		i.SHA256, i.Bytes, c.Rows, c.New, c.Changed, c.Unchanged, total, i.Summary.Before, sums)
	if before != nil {
		detail += "; the same file was applied before on " + before.At.Format(time.DateOnly) + " by " + before.By
	}
	if err := r.Audit("import."+i.Kind, i.ID, detail); err != nil {
		return err
	}
	if err := s.Imports.Start(r.Context(), i.ID, in.LeaveOutWarned, total, r.Now(), r.Principal.Name); err != nil {
		return trouble(err)
	}
	select {
	case s.wake[i.Kind] <- struct{}{}:
	default: // it is awake
	}
	return s.applied(r, i)
}

// applied answers once a small import has ended, and soon in any case.
func (s *Section) applied(r *frame.Request, i *plan.Import) error {
	deadline := time.NewTimer(settleWait)
	defer deadline.Stop()
	look := time.NewTicker(settlePoll)
	defer look.Stop()
	for done := false; !done; {
		is, err := s.Imports.Import(r.Context(), i.ID)
		if err != nil {
			return trouble(err)
		}
		if i = is; i.State != plan.Applying {
			break
		}
		select {
		case <-deadline.C:
			done = true
		case <-r.Context().Done():
			done = true
		case <-look.C:
		}
	}
	if r.WantsJSON() {
		return r.Reply(202, importAsJSON(i, nil))
	}
	return r.Redirect("/admin/"+i.Kind+"/-/imports/"+i.ID, "")
}

func (s *Section) discardImport(r *frame.Request) error {
	i, err := s.importOf(r)
	if err != nil {
		return err
	}
	if err := s.Imports.Discard(r.Context(), i.ID); err != nil {
		return trouble(err)
	}
	if r.WantsJSON() {
		return r.NoContent()
	}
	return r.Redirect("/admin/"+i.Kind+"/-/imports", "Discarded; nothing was changed.")
}

// sameCampaign tells whether what is stored is what was planned.
func sameCampaign(a, b *campaigns.Campaign) bool {
	x, y := a, b
	return x.StartsAt.Equal(y.StartsAt) && x.EndsAt.Equal(y.EndsAt) && slices.Equal(
		[]any{x.Slug, x.Name, x.Event, x.Organisation, x.Story, x.Image, x.Parent, x.Currency, x.GoalMinor, x.MinMinor, x.MaxMinor, x.Rehearsal},
		[]any{y.Slug, y.Name, y.Event, y.Organisation, y.Story, y.Image, y.Parent, y.Currency, y.GoalMinor, y.MinMinor, y.MaxMinor, y.Rehearsal})
}
