// Package manage is the console's section of what donors give to: campaigns, giving days,
// organisations and pictures, the import of spreadsheets, and the gifts that come by
// other roads than the processor.
//
// The one invariant: nobody overwrites what he has not seen. A change stands on the
// revision that was read, and is refused with what has changed since when another one
// was faster.
//
// Goroutines: two of Run, one for each kind of import, which carry imports out; its context
// stops them. A handler's own, which compare a file's gifts with the online ones, end with it.
package manage

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"strings"
	"time"

	"spillway/campaigns"
	"spillway/campaigns/access"
	"spillway/campaigns/console/frame"
	"spillway/campaigns/console/manage/plan"
	"spillway/campaigns/console/manage/sheet"
	"spillway/ledger"
	"spillway/ledger/money"
	"spillway/ledger/payments"
)

// Campaigns stores what donors give to. Any method may return ledger.ErrUnavailable.
type Campaigns interface {
	Get(ctx context.Context, slug string) (*campaigns.Campaign, error)
	Search(ctx context.Context, text, after string, limit int) ([]*campaigns.Campaign, error)
	List(ctx context.Context, after string, limit int) ([]*campaigns.Campaign, error)
	Edit(ctx context.Context, slug string, change func(*campaigns.Campaign) error) (*campaigns.Campaign, error)
	PutIf(ctx context.Context, all ...*campaigns.Campaign) (int, error)

	Event(ctx context.Context, slug string) (*campaigns.Event, error)
	Events(ctx context.Context) ([]*campaigns.Event, error)
	PutEvent(ctx context.Context, e *campaigns.Event) error
	EditEvent(ctx context.Context, slug string, change func(*campaigns.Event) error) (*campaigns.Event, error)

	Organisation(ctx context.Context, name string) (*campaigns.Organisation, error)
	Organisations(ctx context.Context, text, after string, limit int) ([]*campaigns.Organisation, error)
	PutOrganisation(ctx context.Context, o *campaigns.Organisation) error

	PutMedia(ctx context.Context, contentType string, data []byte) (key string, err error)
	Media(ctx context.Context, key string) (*campaigns.Media, error)
}

// Imports keeps files that were read, and reads offline gifts from the journal.
type Imports interface {
	Add(ctx context.Context, i *plan.Import, doing []byte) error
	Import(ctx context.Context, id string) (*plan.Import, error)
	Imports(ctx context.Context, kind, actorID string, limit int) ([]*plan.Import, error)
	Plan(ctx context.Context, id string) ([]byte, error)
	Applied(ctx context.Context, kind string, sum [32]byte, besides string) (*plan.Applied, error)
	Start(ctx context.Context, id string, leaveOut bool, total int, at time.Time, by string) error
	Discard(ctx context.Context, id string) error
	Claim(ctx context.Context, kind, holder string, hold time.Duration) (*plan.Import, error)
	Progress(ctx context.Context, id, holder string, done int, hold time.Duration) error
	End(ctx context.Context, id, holder string, state plan.State, done int, outcome string) error

	Gifts(ctx context.Context, slugs []string, after string, limit int) (all []*plan.Booked, next string, err error)
	Standing(ctx context.Context, slugs []string) (plan.Sums, error)
	Gift(ctx context.Context, id [16]byte) (*plan.Booked, error)
	Outcomes(ctx context.Context, ids [][16]byte) (map[[16]byte]payments.CommandResult, error)
	Total(ctx context.Context, ids [][16]byte) (plan.Sums, error)
}

// Commands is the road of people's money commands.
type Commands interface {
	// Command returns when the command is on the broker's disk. The same ID again is
	// done once. Errors: ErrCommandUnknown when it may be stored or not.
	Command(ctx context.Context, c *payments.Command) error
}

// ErrCommandUnknown says that the broker did not answer: the same again is harmless.
var ErrCommandUnknown = errors.New("the broker did not answer")

// Probe is an offline gift as it may also have been given online.
type Probe struct {
	Campaign    string
	AmountMinor int64
	Currency    money.Currency
	Name        string // of the donor, "" when not known; not kept
	From, To    time.Time
}

// Alike is an online gift that an offline one looks like.
type Alike struct {
	Donation string // its ID
	At       time.Time
	SameName bool // otherwise the same amount
}

// Lookalikes finds online gifts that look like offline ones.
type Lookalikes interface {
	// Alike returns some gifts to the campaign between From and To that are of the same
	// amount, or whose donor has the same name.
	Alike(ctx context.Context, p Probe) ([]Alike, error)
}

// Auditor writes the audit log for what happens after a request.
type Auditor interface {
	Audit(ctx context.Context, e access.Entry) error
}

// Deps are what the section stands on.
type Deps struct {
	Campaigns  Campaigns
	Imports    Imports
	Commands   Commands
	Lookalikes Lookalikes // nil: nothing is compared with online gifts
	Auditor    Auditor
	// Nudge has changes published now; nil where another process does it, within half a
	// second.
	Nudge func()
	// Now is the clock; nil for the machine's.
	Now func() time.Time
}

// Section is this part of the console.
type Section struct {
	Deps
	holder string // names this process among those that carry imports out
	// wake has a channel of capacity 1 for each kind of import: one is to be carried out.
	wake map[string]chan struct{}
	// reading bounds how many files are read at once: each may take 200 MiB.
	reading chan struct{}
}

// readingMost is how many files are read at once.
const readingMost = 2

// New makes the section.
func New(deps Deps) *Section {
	if deps.Now == nil {
		deps.Now = time.Now
	}
	if deps.Nudge == nil {
		deps.Nudge = func() {}
	}
	return &Section{Deps: deps, holder: newID(), wake: map[string]chan struct{}{plan.OfCampaigns: make(chan struct{}, 1), plan.OfGifts: make(chan struct{}, 1)}, reading: make(chan struct{}, readingMost)}
}

//go:embed assets templates
var files embed.FS

// assets are what the pages need beside the console's own.
var assets = frame.NewAssets(files, "assets")

// Assets are the section's styles.
func (s *Section) Assets() *frame.Assets { return assets }

// Bounds of requests.
const (
	// uploadBytesMax holds a file of sheet.FileBytesMax in its multipart form.
	uploadBytesMax = sheet.FileBytesMax + 64<<10
	// imageBodyMax holds a picture of campaigns.MediaBytesMax in its multipart form.
	imageBodyMax = campaigns.MediaBytesMax + 64<<10
	// storyBodyMax holds a form with a story, each character nine bytes in a form.
	storyBodyMax = 256 << 10
	// uploadTimeout is enough for reading and planning the largest file.
	uploadTimeout = 60 * time.Second
)

// Menu has what is managed here.
func (s *Section) Menu() []frame.MenuItem {
	return []frame.MenuItem{
		{Title: "Campaigns", Path: "/admin/campaigns", Needs: access.ViewCampaigns, Order: 20},
		{Title: "Giving days", Path: "/admin/events", Needs: access.ViewCampaigns, Order: 22},
		{Title: "Organisations", Path: "/admin/organisations", Needs: access.ViewCampaigns, Order: 24},
		{Title: "Offline gifts", Path: "/admin/gifts", Needs: access.OfflineGift, Order: 40},
	}
}

// Routes are all operations, as pages and as JSON. Where a segment stands in the way of a
// slug it is "-", which is none.
func (s *Section) Routes() []frame.Route {
	get := func(path string, needs access.Permission, scope func(*frame.Request) string, handle func(*frame.Request) error) frame.Route {
		return frame.Route{Method: "GET", Path: path, Needs: needs, Scope: scope, Handle: handle}
	}
	post := func(path string, needs access.Permission, scope func(*frame.Request) string, handle func(*frame.Request) error) frame.Route {
		return frame.Route{Method: "POST", Path: path, Needs: needs, Scope: scope, Handle: handle, BodyBytesMax: storyBodyMax}
	}
	upload := func(path string, needs access.Permission, scope func(*frame.Request) string, handle func(*frame.Request) error) frame.Route {
		return frame.Route{Method: "POST", Path: path, Needs: needs, Scope: scope, Handle: handle, BodyBytesMax: uploadBytesMax, Timeout: uploadTimeout}
	}
	picture := post("/campaigns/{slug}/image", access.EditCampaigns, frame.Slug, s.setImage)
	picture.BodyBytesMax = imageBodyMax
	// Empty forms, and files for people, have no face in the admin API.
	pages := []frame.Route{
		get(frame.PageRoot+"/campaigns/-/new", access.EditCampaigns, nil, s.newCampaign),
		get(frame.PageRoot+"/events/-/new", access.EditCampaigns, nil, s.newEvent),
		get(frame.PageRoot+"/gifts/-/new", access.OfflineGift, frame.Some, s.newGift),
		get(frame.PageRoot+"/media/{key}", access.ViewCampaigns, frame.Some, s.media),
		get(frame.PageRoot+"/campaigns/-/imports/-/template", access.EditCampaigns, nil, s.campaignsTemplate),
		get(frame.PageRoot+"/gifts/-/imports/-/template", access.OfflineGift, frame.Some, s.giftsTemplate),
	}
	return append(pages, frame.Both(
		get("/campaigns", access.ViewCampaigns, frame.Some, s.listCampaigns),
		post("/campaigns", access.EditCampaigns, nil, s.createCampaign),
		get("/campaigns/{slug}", access.ViewCampaigns, frame.Slug, s.showCampaign),
		post("/campaigns/{slug}", access.EditCampaigns, frame.Slug, s.editCampaign),
		post("/campaigns/{slug}/open", access.EditCampaigns, frame.Slug, s.openCampaign),
		post("/campaigns/{slug}/close", access.EditCampaigns, frame.Slug, s.closeCampaign),
		post("/campaigns/{slug}/extend", access.EditCampaigns, frame.Slug, s.extendCampaign),
		picture,
		post("/campaigns/{slug}/image/remove", access.EditCampaigns, frame.Slug, s.removeImage),

		get("/events", access.ViewCampaigns, nil, s.listEvents),
		post("/events", access.EditCampaigns, nil, s.createEvent),
		get("/events/{event}", access.ViewCampaigns, nil, s.showEvent),
		post("/events/{event}", access.EditCampaigns, nil, s.editEvent),

		get("/organisations", access.ViewCampaigns, nil, s.listOrganisations),
		get("/organisations/-/one", access.ViewCampaigns, nil, s.showOrganisation),
		post("/organisations", access.EditCampaigns, nil, s.putOrganisation),

		get("/campaigns/-/imports", access.EditCampaigns, nil, s.uploadCampaignsPage),
		upload("/campaigns/-/imports", access.EditCampaigns, nil, s.uploadCampaigns),
		get("/campaigns/-/imports/{id}", access.EditCampaigns, nil, s.showImport),
		post("/campaigns/-/imports/{id}/apply", access.EditCampaigns, nil, s.applyImport),
		post("/campaigns/-/imports/{id}/discard", access.EditCampaigns, nil, s.discardImport),

		get("/gifts/-/imports", access.OfflineGift, frame.Some, s.uploadGiftsPage),
		upload("/gifts/-/imports", access.OfflineGift, frame.Some, s.uploadGifts),
		get("/gifts/-/imports/{id}", access.OfflineGift, frame.Some, s.showImport),
		post("/gifts/-/imports/{id}/apply", access.OfflineGift, frame.Some, s.applyImport),
		post("/gifts/-/imports/{id}/discard", access.OfflineGift, frame.Some, s.discardImport),

		get("/gifts", access.OfflineGift, frame.Some, s.listGifts),
		post("/gifts", access.OfflineGift, frame.Some, s.enterGift),
		post("/gifts/{id}/reverse", access.OfflineGift, frame.Some, s.reverseGift),
	)...)
}

// trouble is what an error of the stores means to the one who asked.
func trouble(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ledger.ErrUnavailable):
		return frame.Unavailable("The database does not answer at the moment; nothing was changed.")
	case errors.Is(err, campaigns.ErrUnknown):
		return frame.NotFound("campaign, giving day or picture")
	case errors.Is(err, campaigns.ErrOvertaken):
		return frame.Conflict("overtaken", "Somebody else changed it in the meantime; nothing was changed by you. Load it again.")
	case errors.Is(err, campaigns.ErrCurrencyKept):
		return frame.Invalid(frame.Field{Name: "currency", Code: "kept", Detail: "A campaign's currency cannot be changed. Make another campaign."})
	case errors.Is(err, campaigns.ErrInvalid):
		return frame.Invalid(frame.Field{Code: "invalid", Detail: strings.TrimPrefix(err.Error(), campaigns.ErrInvalid.Error()+": ")})
	case errors.Is(err, plan.ErrNoImport):
		return frame.NotFound("import, or it is too old")
	case errors.Is(err, plan.ErrNotPlanned):
		return frame.Conflict("not_planned", "It is being applied, was applied, or was discarded.")
	}
	return err
}

// faultsOf are a refusal's fields, by name, for a form; ok is false for any other error.
func faultsOf(err error) (faults map[string]string, status int, ok bool) {
	var p *frame.Problem
	if !errors.As(err, &p) || p.Status != 422 && p.Status != 409 {
		return nil, 0, false
	}
	faults = map[string]string{}
	for _, f := range p.Fields {
		if faults[f.Name] == "" {
			faults[f.Name] = f.Detail
		}
	}
	if len(p.Fields) == 0 {
		faults[""] = p.Detail
	}
	return faults, p.Status, true
}

// changesText is what changed, for the audit log: a sentence without donors' data.
func changesText(changes []plan.Change) string {
	parts := make([]string, len(changes))
	for i, c := range changes {
		if c.Field == "Story" {
			parts[i] = "Story changed"
			continue
		}
		parts[i] = fmt.Sprintf("%s: %s → %s", c.Field, orNone(c.Before), orNone(c.After))
	}
	if len(parts) == 0 {
		return "nothing changed"
	}
	return strings.Join(parts, "; ")
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}
