package donations

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"spillway/campaigns/access"
	"spillway/campaigns/console/frame"
	"spillway/ingest"
	"spillway/ingest/openapi"
	"spillway/ingest/openapi/openapitest"
	"spillway/ledger/journal"
	"spillway/ledger/payments"
	"spillway/ledger/search"
)

var (
	owner     = access.Principal{User: "1", Name: "ann@example.org", Role: access.Owner}
	organiser = access.Principal{User: "2", Name: "bob@example.org", Role: access.Organiser, Campaigns: []string{"river-school"}}
	finance   = access.Principal{User: "3", Name: "fay@example.org", Role: access.Finance, Campaigns: []string{"river-school"}}
	viewer    = access.Principal{User: "4", Name: "vic@example.org", Role: access.Viewer}
	// exporter is a key that exports and may not see donors.
	exporter = access.Principal{User: "k", Name: "nightly", Key: true, Scopes: access.SetOf(access.ViewDonations, access.Export)}
)

// now is when everything here happens.
var now = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// rig is the section with fakes for all that it stands on, which note in which order
// they were called.
type rig struct {
	t       *testing.T
	section *Section
	mux     frame.Mux
	beside  sync.WaitGroup

	lock     sync.Mutex
	did      []string // "audit donation.hide", "hide", "command"
	log      []access.Entry
	away     bool // the audit log does not answer
	off      func() bool
	stories  []*search.Story
	asked    search.Query // the last of List or Each
	commands []*payments.Command
	lost     bool // the broker's next answer is lost, and the command is not stored
	made     map[[16]byte]payments.RefundState
}

func id(n byte) ingest.ID { return ingest.ID{5: n, 6: 0x80, 8: 0x80} }

// basket is a donation to two campaigns, single one to another campaign alone, plain one
// to the first.
var basket, single, plain = id(1), id(2), id(3)

func story(id ingest.ID, cover int64, lines ...search.Line) *search.Story {
	s := &search.Story{Row: search.Row{ID: id, AcceptedAt: now.Add(-time.Hour), Name: "Ada Lovelace", Email: "ada@example.org", Message: "Go on!", Dedication: "In honor of Grace",
		FeeCoverMinor: cover, Currency: "USD", Status: payments.StatusSucceeded, Lines: lines, Intent: "pi_1", Charge: "ch_1"},
		RecordedAt: now.Add(-time.Hour), CapturedAt: now.Add(-time.Hour), FeeKnown: true, FeeMinor: 179, FeeCurrency: "USD"}
	s.AmountMinor = s.FeeCoverMinor
	entry := search.StoryEntry{Kind: string(journal.Capture), Ref: "ch_1", OccurredAt: now.Add(-time.Hour)}
	for _, l := range lines {
		s.AmountMinor += l.AmountMinor
		entry.Postings = append(entry.Postings, search.StoryPosting{Account: journal.Gifts(l.Campaign), Currency: "USD", AmountMinor: -l.AmountMinor})
	}
	entry.Postings = append(entry.Postings, search.StoryPosting{Account: journal.Processor, Currency: "USD", AmountMinor: s.AmountMinor})
	s.Entries = []search.StoryEntry{entry}
	s.Disputes = []search.StoryDispute{{ID: "dp_1", AmountMinor: s.AmountMinor, Status: "won", CreatedAt: now}}
	return s
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, off: func() bool { return false }, made: map[[16]byte]payments.RefundState{}}
	r.stories = []*search.Story{
		story(basket, 180, search.Line{Campaign: "river-school", AmountMinor: 3000}, search.Line{Campaign: "food-bank", AmountMinor: 2000}),
		story(single, 210, search.Line{Campaign: "food-bank", AmountMinor: 7000}),
		story(plain, 146, search.Line{Campaign: "river-school", AmountMinor: 4000}),
	}
	r.section = New(Deps{Search: r, Refunds: r, Log: r, Zone: func() *time.Location { return time.UTC }, ExportsOff: func() bool { return r.off() }, Now: func() time.Time { return now }})
	if err := r.mux.Add(false, r.section.Routes()...); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rig) note(what string) {
	r.lock.Lock()
	defer r.lock.Unlock()
	r.did = append(r.did, what)
}

// Audit and Log are the audit log.
func (r *rig) Audit(_ context.Context, e access.Entry) error {
	r.lock.Lock()
	defer r.lock.Unlock()
	if r.away {
		return access.ErrUnavailable
	}
	r.did, r.log = append(r.did, "audit "+e.Action), append(r.log, e)
	return nil
}

func (r *rig) Log(context.Context, access.LogQuery) ([]access.Entry, error) { return nil, nil }

// find returns the rows of a query as the search does: narrowed to campaigns.
func (r *rig) find(q search.Query) (rows []search.Row) {
	r.asked = q
	for _, s := range r.stories {
		row := s.Row
		row.Lines = slices.Clone(row.Lines)
		if q.Campaigns != nil {
			row.Lines = slices.DeleteFunc(row.Lines, func(l search.Line) bool { return !slices.Contains(q.Campaigns, l.Campaign) })
		}
		if len(row.Lines) > 0 {
			rows = append(rows, row)
		}
	}
	return rows
}

// List, Each, Story and Hide are the search.
func (r *rig) List(_ context.Context, q search.Query) (search.Page, error) {
	return search.Page{Rows: r.find(q), AsOf: now}, nil
}

func (r *rig) Each(_ context.Context, q search.Query, visit func(*search.Row) error) error {
	rows := r.find(q)
	for i := range rows {
		if err := visit(&rows[i]); err != nil {
			return err
		}
	}
	return nil
}

func (r *rig) Story(_ context.Context, id ingest.ID) (*search.Story, error) {
	for _, s := range r.stories {
		if s.ID == id {
			c := *s
			c.Lines, c.Entries = slices.Clone(s.Lines), slices.Clone(s.Entries)
			for i := range c.Entries {
				c.Entries[i].Postings = slices.Clone(c.Entries[i].Postings)
			}
			return &c, nil
		}
	}
	return nil, search.ErrUnknown
}

func (r *rig) Hide(_ context.Context, id ingest.ID, what search.Hide, _ string) error {
	r.note("hide " + what.String())
	for _, s := range r.stories {
		if s.ID == id {
			s.Hidden = what
		}
	}
	return nil
}

// Preview, CommandID, Command, Commanded and State are the ledger: everything may go
// back, once for each ID.
func (r *rig) Preview(ctx context.Context, asked *payments.RefundAsked) (payments.RefundPreview, error) {
	s, err := r.Story(ctx, asked.Donation)
	if err != nil {
		return payments.RefundPreview{}, err
	}
	p := payments.RefundPreview{Currency: s.Currency, AmountMinor: asked.AmountMinor, LeftMinor: s.AmountMinor}
	if p.AmountMinor == 0 {
		p.AmountMinor = s.AmountMinor
	}
	left := p.AmountMinor
	for i, l := range s.Lines {
		part := payments.RefundPart{Campaign: l.Campaign, GivenMinor: l.AmountMinor, LeftMinor: l.AmountMinor, AmountMinor: min(left, l.AmountMinor)}
		if asked.Lines != nil {
			part.AmountMinor = asked.Lines[i]
		}
		left -= part.AmountMinor
		p.Lines = append(p.Lines, part)
	}
	p.CoverMinor = left
	return p, nil
}

func (r *rig) CommandID(donation ingest.ID, key string) (id [16]byte) {
	copy(id[:], key)
	id[15] = donation[5]
	return id
}

func (r *rig) Command(_ context.Context, c *payments.Command) error {
	r.note("command")
	r.lock.Lock()
	defer r.lock.Unlock()
	r.commands = append(r.commands, c)
	if r.lost {
		r.lost = false
		return fmt.Errorf("publish: %w", ErrCommandUnknown)
	}
	if _, again := r.made[c.ID]; !again {
		r.made[c.ID] = payments.RefundState{Donation: c.Refund.Donation, AmountMinor: c.Refund.AmountMinor, Lines: c.Refund.Lines, Status: "succeeded", ProcessorID: "re_1", Actor: c.Actor, AskedAt: now}
	}
	return nil
}

func (r *rig) Commanded(_ context.Context, command [16]byte) (payments.CommandResult, error) {
	r.lock.Lock()
	defer r.lock.Unlock()
	if _, made := r.made[command]; made {
		return payments.CommandResult{Word: payments.CommandDone}, nil
	}
	return payments.CommandResult{}, nil
}

func (r *rig) State(_ context.Context, command [16]byte) (payments.RefundState, error) {
	r.lock.Lock()
	defer r.lock.Unlock()
	return r.made[command], nil
}

var spec = sync.OnceValues(func() (*openapitest.Spec, error) { return openapitest.Parse(openapi.Document) })

// ask makes a request as the console does, after authentication; the JSON that comes back
// is held to the contract. cut tells that a download was not ended.
func (r *rig) ask(who access.Principal, method, path, body string) (status int, text string, cut bool) {
	r.t.Helper()
	target, err := url.Parse(path)
	if err != nil {
		r.t.Fatal(err)
	}
	route, params, _ := r.mux.Find(method, target.Path)
	if route == nil {
		r.t.Fatalf("no route %s %s", method, path)
	}
	var ctx fasthttp.RequestCtx
	ctx.Init(&fasthttp.Request{}, nil, nil)
	ctx.Request.Header.SetMethod(method)
	ctx.Request.SetRequestURI(path)
	ctx.Request.Header.SetContentType("application/x-www-form-urlencoded")
	if frame.IsJSON(target.Path) {
		ctx.Request.Header.SetContentType("application/json")
	}
	ctx.Request.SetBodyString(body)
	q := frame.NewRequest(&ctx, params, frame.Surroundings{
		Context: r.t.Context(), Principal: who, Network: "192.0.2.0/24", Now: now, Log: slog.New(slog.DiscardHandler), Audit: r.Audit,
		Shell:  func(_ *frame.Request, c frame.Content) ([]byte, error) { return []byte(c.Title + string(c.HTML)), nil },
		Stream: func(time.Duration) (context.Context, func(), bool) { return r.t.Context(), func() {}, true },
		Beside: func(run func()) { r.beside.Go(run) },
	})
	err = frame.Forbidden("not for you")
	if who.Can(route.Needs, route.Scope(q)) {
		err = route.Handle(q)
	}
	if err != nil {
		p := &frame.Problem{Status: 503, Code: "unavailable", RetryAfter: 1}
		if !errors.As(err, &p) && !errors.Is(err, access.ErrUnavailable) {
			r.t.Fatalf("%s %s: %v", method, path, err)
		}
		ctx.SetStatusCode(p.Status)
		ctx.SetContentType("application/problem+json")
		if p.RetryAfter > 0 {
			ctx.Response.Header.Set("Retry-After", fmt.Sprint(p.RetryAfter))
		}
		ctx.SetBody(p.AppendJSON(nil, target.Path))
	}
	if s := ctx.Response.BodyStream(); s != nil {
		data, err := io.ReadAll(s)
		r.beside.Wait()
		return ctx.Response.StatusCode(), string(data), err != nil
	}
	got := ctx.Response.Body()
	if frame.IsJSON(target.Path) {
		contract, err := spec()
		if err != nil {
			r.t.Fatal(err)
		}
		header := http.Header{}
		for name, value := range ctx.Response.Header.All() {
			header.Add(string(name), string(value))
		}
		faults, known := contract.Check(openapitest.Answer{Method: method, Target: path, Status: ctx.Response.StatusCode(), Header: header, Body: got})
		if !known || len(faults) > 0 {
			r.t.Errorf("%s %s: not as the contract says (known: %v): %v\n%s", method, path, known, faults, got)
		}
	}
	return ctx.Response.StatusCode(), string(got), false
}

// want asks and fails unless the answer has the status; it returns the text.
func (r *rig) want(status int, who access.Principal, method, path, body string) string {
	r.t.Helper()
	got, text, _ := r.ask(who, method, path, body)
	if got != status {
		r.t.Fatalf("%s: %s %s: %d, want %d: %s", who.Name, method, path, got, status, text)
	}
	return text
}

const api = "/admin/v1/donations"

// faces are all ways to see a donation.
func faces(id ingest.ID) []string {
	return []string{"/admin/donations", api, "/admin/donations/" + id.String(), api + "/" + id.String(), api + "/-/export", api + "/-/export?per=line"}
}

// TestSection_OfABasketOnlyOnesOwnLines: who is bound to a campaign sees neither the
// lines of others, nor any sum that they are part of, on any page, answer or file.
func TestSection_OfABasketOnlyOnesOwnLines(t *testing.T) {
	r := newRig(t)
	// What would give it away: the other campaign, its part, the whole, the covered fee.
	secrets := []string{"food-bank", "20.00", "2000", "51.80", "5180", "1.80", `"fee_cover_minor":180`, single.String()}
	for _, path := range faces(basket) {
		whole := r.want(200, owner, "GET", path, "")
		if !strings.Contains(whole, "food-bank") || !strings.Contains(whole, "51.80") && !strings.Contains(whole, "5180") {
			t.Errorf("%s does not show the whole basket to who may see it:\n%s", path, whole)
		}
		mine := r.want(200, organiser, "GET", path, "")
		if !strings.Contains(mine, "river-school") || !strings.Contains(mine, "30.00") && !strings.Contains(mine, "3000") {
			t.Errorf("%s does not show one's own line:\n%s", path, mine)
		}
		for _, secret := range secrets {
			if strings.Contains(mine, secret) {
				t.Errorf("%s shows %q:\n%s", path, secret, mine)
			}
		}
	}
	type list struct {
		Items []struct {
			ID     string
			Part   bool
			Amount int64  `json:"amount_minor"`
			Fee    int64  `json:"fee_cover_minor"`
			Back   *int64 `json:"refunded_minor"`
		}
	}
	for _, c := range []struct {
		status       string
		back, inPart int64 // of the whole; of the part, -1 for not told
	}{{payments.StatusSucceeded, 0, 0}, {payments.StatusSucceeded, 1000, -1}, {payments.StatusRefunded, 5180, 3000}} {
		r.stories[0].Status, r.stories[0].RefundedMinor = c.status, c.back
		var page list
		if err := json.Unmarshal([]byte(r.want(200, organiser, "GET", api, "")), &page); err != nil || len(page.Items) != 2 {
			t.Fatalf("%+v, %v", page, err)
		}
		part, whole := page.Items[0], page.Items[1]
		told := int64(-1)
		if part.Back != nil {
			told = *part.Back
		}
		if part.ID != basket.String() || !part.Part || part.Amount != 3000 || part.Fee != 0 || told != c.inPart {
			t.Errorf("%s, %d went back: the part is %+v, of which %d went back, want %d", c.status, c.back, part, told, c.inPart)
		}
		if whole.ID != plain.String() || whole.Part || whole.Amount != 4146 || whole.Fee != 146 {
			t.Errorf("a donation that is all one's own: %+v", whole)
		}
	}
	if got := r.asked.Campaigns; !slices.Equal(got, []string{"river-school"}) {
		t.Errorf("the search was asked for the campaigns %v", got)
	}
	// What is of others alone is not there.
	for _, c := range [][2]string{{"GET", ""}, {"POST", "/hide"}} {
		r.want(404, organiser, c[0], api+"/"+single.String()+c[1], `{"what":"name"}`)
	}
	r.want(404, finance, "GET", api+"/"+single.String()+"/refund", "")
	r.want(422, organiser, "GET", api+"?campaign=food-bank", "")
	r.want(422, organiser, "GET", api+"/-/export?campaign=food-bank", "")
}

// TestSection_DonorsAreShownByRight: names, addresses and messages are neither shown nor
// searched by without the permission.
func TestSection_DonorsAreShownByRight(t *testing.T) {
	r := newRig(t)
	personal := []string{"Ada Lovelace", "ada@example.org", "Go on!", "In honor of Grace"}
	for _, path := range faces(basket) {
		export := strings.Contains(path, "export")
		for _, who := range []access.Principal{owner, organiser, viewer, exporter} {
			if export && who.Role == access.Viewer {
				r.want(403, who, "GET", path, "") // needs a permission of its own
				continue
			}
			may := who.Can(access.ViewPersonal, access.Some)
			text := r.want(200, who, "GET", path, "")
			for _, secret := range personal {
				list := path == "/admin/donations" && (secret == personal[2] || secret == personal[3]) // it has no room for them
				if shown := strings.Contains(text, secret); shown != may && !list {
					t.Errorf("%s: %s shows %q: %v, want %v", who.Name, path, secret, shown, may)
				}
			}
			if header, _, _ := strings.Cut(text, "\n"); export && strings.Contains(header, "email") != may {
				t.Errorf("%s: the columns of %s are %s", who.Name, path, header)
			}
		}
	}
	for text, want := range map[string]int{"Ada": 422, "ada%40example.org": 422, basket.String(): 200, "pi_1": 200, "51.80": 200} {
		r.want(want, viewer, "GET", api+"?q="+text, "")
		r.want(want, exporter, "GET", api+"/-/export?q="+text, "")
	}
	r.want(200, owner, "GET", api+"?q=Ada", "")
	for _, e := range r.log {
		if strings.Contains(e.Detail, "Ada") || strings.Contains(e.Detail, "ada@") {
			t.Errorf("the audit log names a donor: %+v", e)
		}
	}
}

// TestSection_ARefundIsMadeOnceForEachKey: asked again it is told what became of it;
// another amount is refused; a lost answer is asked again under the same ID.
func TestSection_ARefundIsMadeOnceForEachKey(t *testing.T) {
	r := newRig(t)
	path := api + "/" + basket.String()
	order := func(key, amount string) string {
		return fmt.Sprintf(`{"key":%q,"amount":%q,"reason":"as agreed by phone"}`, key, amount)
	}
	r.want(200, owner, "POST", path+"/refund", order("one", "12.50"))
	if len(r.commands) != 0 || len(r.log) != 0 {
		t.Fatalf("a preview did %v", r.did)
	}
	first := r.want(200, owner, "POST", path+"/refunds", order("one", "12.50"))
	for _, again := range []string{r.want(200, owner, "POST", path+"/refunds", order("one", "12.50")), r.want(200, owner, "GET", path+"/refunds/one", "")} {
		if again != first {
			t.Errorf("asked again: %s, want %s", again, first)
		}
	}
	if got := strings.Join(r.did, ", "); got != "audit donation.refund, command" {
		t.Errorf("done: %s, want the entry and one command behind it", got)
	}
	if got := r.commands[0].Refund; got.AmountMinor != 1250 || r.commands[0].Actor != owner.Name {
		t.Errorf("asked of the ledger: %+v", got)
	}
	if text := r.want(409, owner, "POST", path+"/refunds", order("one", "13")); !strings.Contains(text, "key_reused") {
		t.Errorf("another amount under the key: %s", text)
	}
	// An answer is lost: not known, and the same again is the same command.
	r.lost = true
	r.want(503, owner, "POST", path+"/refunds", order("two", "1"))
	r.want(200, owner, "POST", path+"/refunds", order("two", "1"))
	if n := len(r.commands); n != 3 || r.commands[1].ID != r.commands[2].ID || r.commands[1].ID == r.commands[0].ID {
		t.Errorf("%d commands, of which the last two must be one", n)
	}
	// Not written down is not done; and who may give back a part of a basket only gives
	// back nothing.
	r.away = true
	r.want(503, owner, "POST", path+"/refunds", order("three", "1"))
	r.away = false
	r.want(403, finance, "POST", path+"/refunds", order("four", "1"))
	r.want(403, finance, "POST", path+"/refund", order("four", "1"))
	r.want(403, organiser, "POST", path+"/refunds", order("five", "1"))
	for _, body := range []string{order("", "1"), order("not a key", "1"), order("six", "-1"), order("six", "1,250"), `{"key":"six","amount":"1","reason":""}`} {
		r.want(422, owner, "POST", path+"/refunds", body)
	}
	if len(r.commands) != 3 {
		t.Errorf("%d commands: %v", len(r.commands), r.did)
	}
	// A limited finance user gives back what is all theirs.
	r.want(200, finance, "POST", api+"/"+plain.String()+"/refunds", order("one", ""))
	if c := r.commands[3]; c.Refund.Donation != plain || c.Refund.AmountMinor != 4146 || c.ID == r.commands[0].ID {
		t.Errorf("the same key of another donation: %+v", c)
	}
}

// TestSection_HidingIsWrittenDownFirst: and nothing is hidden that could not be.
func TestSection_HidingIsWrittenDownFirst(t *testing.T) {
	r := newRig(t)
	path := api + "/" + basket.String() + "/hide"
	r.away = true
	r.want(503, organiser, "POST", path, `{"what":"name"}`)
	r.away = false
	if len(r.did) != 0 {
		t.Fatalf("without the audit log: %v", r.did)
	}
	text := r.want(200, organiser, "POST", path, `{"what":"name"}`)
	r.want(200, organiser, "POST", path, `{"what":"name"}`) // it is already
	if got := strings.Join(r.did, ", "); got != "audit donation.hide, hide name" {
		t.Errorf("done: %s", got)
	}
	if e := r.log[0]; e.Subject != basket.String() || e.Detail != "none → name" || e.Name != organiser.Name {
		t.Errorf("written down: %+v", e)
	}
	if !strings.Contains(text, `"hidden":"name"`) || strings.Contains(text, "food-bank") {
		t.Errorf("the answer is %s", text)
	}
	r.want(422, organiser, "POST", path, `{"what":"all"}`)
	r.want(403, viewer, "POST", path, `{"what":"none"}`)
	r.want(403, finance, "POST", path, `{"what":"none"}`)
	if len(r.did) != 2 {
		t.Errorf("refused, and done: %v", r.did)
	}
}

// TestSection_ExportsThatAreTurnedOff: none begins, one that runs is cut, and both ends of
// every export are in the audit log.
func TestSection_ExportsThatAreTurnedOff(t *testing.T) {
	r := newRig(t)
	r.off = func() bool { return true }
	if text := r.want(503, owner, "GET", api+"/-/export", ""); !strings.Contains(text, "switched_off") {
		t.Errorf("%s", text)
	}
	if len(r.did) != 0 {
		t.Errorf("done: %v", r.did)
	}
	looks := 0
	r.off = func() bool { looks++; return looks > 1 } // while it runs
	if status, _, cut := r.ask(owner, "GET", api+"/-/export", ""); status != 200 || !cut {
		t.Errorf("turned off while it ran: %d, cut: %v", status, cut)
	}
	r.off = func() bool { return false }
	status, text, cut := r.ask(owner, "GET", api+"/-/export", "")
	if lines := bytes.Count([]byte(text), []byte("\n")); status != 200 || cut || lines != 4 {
		t.Errorf("%d, cut: %v, %d lines", status, cut, lines)
	}
	if got := strings.Join(r.did, ", "); got != "audit donations.export, audit donations.exported, audit donations.export, audit donations.exported" {
		t.Errorf("written down: %s", got)
	}
	if got := r.log[1].Detail; !strings.HasPrefix(got, "ended early after 0 rows") {
		t.Errorf("the end of the one that was cut: %q", got)
	}
	if got := r.log[3].Detail; !strings.HasPrefix(got, "3 rows; csv") {
		t.Errorf("the end of the whole one: %q", got)
	}
	// Not written down: not begun. And no place is lost by any of it.
	r.away = true
	for range exportsMost + 1 {
		r.want(503, owner, "GET", api+"/-/export", "")
	}
	r.away = false
	r.want(200, exporter, "GET", api+"/-/export?format=csv", "")
	r.want(403, viewer, "GET", api+"/-/export", "")
}
