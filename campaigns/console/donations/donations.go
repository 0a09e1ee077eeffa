// Package donations is the console's section of donations: finding them, the story of
// each, giving money back, hiding what the public must not see, and exports.
//
// The one invariant: nobody sees or moves more than they were given. Rows are narrowed
// to the campaigns of whoever asks before they are shown, what donors said of
// themselves is left out without the permission for it, also as a thing to search by,
// and money goes back only as a page has shown it, once for each form.
//
// Goroutines: none of its own; those of an export are the frame's.
package donations

import (
	"context"
	"embed"
	"errors"
	"html/template"
	"time"

	"spillway/campaigns/access"
	"spillway/campaigns/console/frame"
	"spillway/ingest"
	"spillway/ledger"
	"spillway/ledger/payments"
	"spillway/ledger/search"
)

// Search finds donations. Its methods return ledger.ErrUnavailable and search's errors.
type Search interface {
	List(ctx context.Context, q search.Query) (search.Page, error)
	Each(ctx context.Context, q search.Query, visit func(*search.Row) error) error
	Story(ctx context.Context, id ingest.ID) (*search.Story, error)
	Hide(ctx context.Context, id ingest.ID, what search.Hide, actor string) error
}

// Refunds gives money back, by the same road and with the same keys as `spillway refund`.
type Refunds interface {
	// Preview judges a refund without making it.
	Preview(ctx context.Context, asked *payments.RefundAsked) (payments.RefundPreview, error)
	// CommandID is the command that a key names, of one donation.
	CommandID(donation ingest.ID, key string) [16]byte
	// Command returns when the command is on the broker's disk. The same ID again is
	// done once. Errors: ErrCommandUnknown when it may be stored or not.
	Command(ctx context.Context, c *payments.Command) error
	// Commanded tells what became of a command; no word when it was not carried out.
	Commanded(ctx context.Context, command [16]byte) (payments.CommandResult, error)
	// State tells what became of the refund that a command asked for.
	State(ctx context.Context, command [16]byte) (payments.RefundState, error)
}

// ErrCommandUnknown says that the broker did not answer: the same again is harmless.
var ErrCommandUnknown = errors.New("the broker did not answer")

// Log is the audit log: what an export came to is written when it has ended, and what
// people did with a donation is part of its story.
type Log interface {
	Audit(ctx context.Context, e access.Entry) error
	Log(ctx context.Context, q access.LogQuery) ([]access.Entry, error)
}

// Deps are what the section stands on.
type Deps struct {
	Search  Search
	Refunds Refunds
	Log     Log
	// Zone is the giving day's, in which exports tell times and days are bounded.
	Zone func() *time.Location
	// ExportsOff tells whether organisers have turned exports off.
	ExportsOff func() bool
	// Now is the clock; nil for the machine's.
	Now func() time.Time
}

// Section is this part of the console.
type Section struct {
	Deps
	// exporting bounds exports at a time: each keeps one connection of the search busy.
	exporting chan struct{}
}

// exportsMost is how many exports run at once in a process.
const exportsMost = 3

// New makes the section.
func New(deps Deps) *Section {
	if deps.Now == nil {
		deps.Now = time.Now
	}
	return &Section{Deps: deps, exporting: make(chan struct{}, exportsMost)}
}

//go:embed templates assets
var files embed.FS

var assets = frame.NewAssets(files, "assets")

// Assets implements frame.WithAssets.
func (s *Section) Assets() *frame.Assets { return assets }

// page parses a page with what is for this section's alone: words of states.
func page(name string) *template.Template {
	t := template.New(name).Funcs(template.FuncMap{
		"asset": assets.URL, "money": frame.Money, "when": frame.When, "plural": frame.Plural, "status": statusBadge,
	})
	return template.Must(t.ParseFS(files, "templates/"+name))
}

var (
	listPage     = page("donations.html")
	donationPage = page("donation.html")
	refundPage   = page("donation-refund.html")
	confirmPage  = page("donation-confirm.html")
	refundedPage = page("donation-refunded.html")
)

// Menu implements frame.Section.
func (s *Section) Menu() []frame.MenuItem {
	return []frame.MenuItem{{Title: "Donations", Path: root, Needs: access.ViewDonations, Order: 30}}
}

// root is where the pages are.
const root = frame.PageRoot + "/donations"

// Routes implements frame.Section.
func (s *Section) Routes() []frame.Route {
	get := func(path string, needs access.Permission, handle func(*frame.Request) error) frame.Route {
		return frame.Route{Method: "GET", Path: path, Needs: needs, Scope: frame.Some, Handle: handle}
	}
	post := func(path string, needs access.Permission, handle func(*frame.Request) error) frame.Route {
		return frame.Route{Method: "POST", Path: path, Needs: needs, Scope: frame.Some, Handle: handle}
	}
	return frame.Both(
		get("/donations", access.ViewDonations, s.list),
		get("/donations/-/export", access.Export, s.export),
		get("/donations/{id}", access.ViewDonations, s.show),
		post("/donations/{id}/hide", access.HideGift, s.hide),
		get("/donations/{id}/refund", access.Refund, s.refundForm),
		post("/donations/{id}/refund", access.Refund, s.preview),
		post("/donations/{id}/refunds", access.Refund, s.refund),
		get("/donations/{id}/refunds/{key}", access.Refund, s.refunded),
	)
}

// trouble is what an error of the search or the ledger means to the one who asked.
func trouble(err error) error {
	switch {
	case errors.Is(err, ledger.ErrUnavailable):
		return frame.Unavailable("The database does not answer at the moment; nothing was changed.")
	case errors.Is(err, search.ErrUnknown):
		return errNoDonation
	case errors.Is(err, search.ErrQuery):
		return frame.Invalid(frame.Field{Code: "invalid", Detail: "What is asked for cannot be looked up: a value of the filters is not allowed."})
	}
	return err
}

var errNoDonation = frame.NotFound("donation, or it is not in the books yet")

// story reads one donation as whoever asks may see it. Errors: a *frame.Problem.
func (s *Section) story(r *frame.Request) (t *search.Story, v view, err error) {
	id, err := ingest.ParseID([]byte(r.Param("id")))
	if err != nil {
		return nil, view{}, errNoDonation
	}
	t, err = s.Search.Story(r.Context(), id)
	if err != nil {
		return nil, view{}, trouble(err)
	}
	v = seenStory(&r.Principal, t)
	if len(t.Lines) == 0 {
		return nil, view{}, errNoDonation // as if it were not there
	}
	return t, v, nil
}
