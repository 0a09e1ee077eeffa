// Package frame is what the sections of the organiser's console share: routes that
// say what they need, requests that know who makes them, pages, problems, assets.
//
// The one invariant: a handler runs only for a principal who may do what its route
// Needs, for the campaign that its Scope names; a route without Needs is refused when
// the console is built.
//
// A section is a package of its own beside this one. It declares the interfaces that
// it needs, has a New that takes them, and these two methods:
//
//	func (s *Section) Routes() []frame.Route {
//		return frame.Both(
//			frame.Route{Method: "GET", Path: "/campaigns", Needs: access.ViewCampaigns, Scope: frame.Some, Handle: s.list},
//			frame.Route{Method: "POST", Path: "/campaigns/{slug}", Needs: access.EditCampaigns, Scope: frame.Slug, Handle: s.edit},
//		)
//	}
//
//	func (s *Section) Menu() []frame.MenuItem {
//		return []frame.MenuItem{{Title: "Campaigns", Path: "/admin/campaigns", Needs: access.ViewCampaigns, Order: 20}}
//	}
//
// Its handlers answer both the page and the JSON of one route:
//
//	func (s *Section) edit(r *frame.Request) error {
//		var in struct {
//			Name string `json:"name"`
//		}
//		if err := r.Input(&in); err != nil {
//			return err
//		}
//		if err := r.Audit("campaign.edit", r.Param("slug"), "name"); err != nil {
//			return err // not written down: not done
//		}
//		...
//		if r.WantsJSON() {
//			return r.Reply(200, campaign)
//		}
//		return r.Redirect("/admin/campaigns/"+slug, "Saved.")
//	}
package frame

import (
	"time"

	"spillway/campaigns/access"
)

// Roots of the two faces of every operation.
const (
	PageRoot = "/admin"
	JSONRoot = "/admin/v1"
)

// BodyBytesDefault bounds the body of a route that says nothing else: forms are
// small.
const BodyBytesDefault = 64 << 10

// Section is a part of the console.
type Section interface {
	Routes() []Route
	Menu() []MenuItem
}

// WithAssets is a section that has scripts, styles or pictures of its own.
type WithAssets interface{ Assets() *Assets }

// Route is one operation at one path.
type Route struct {
	Method string // GET, POST, PUT, PATCH or DELETE; GET answers HEAD too
	// Path begins with PageRoot; {name} stands for one segment, see Request.Param.
	Path string
	// Needs is what the principal must be allowed to do; the zero value is refused.
	Needs access.Permission
	// Scope tells which campaign the request is about: its slug; "" for the
	// installation as a whole, as does a nil Scope; access.Some for any, and then the
	// handler narrows to Principal.Campaigns by itself. It must not do I/O.
	Scope  func(*Request) string
	Handle func(*Request) error
	// BodyBytesMax bounds the body; zero takes BodyBytesDefault.
	BodyBytesMax int
	// Timeout bounds Context; zero takes the console's own, 10 s.
	Timeout time.Duration
}

// Slug is the Scope of a route whose path has {slug}, the slug of a campaign.
func Slug(r *Request) string {
	if s := r.Param("slug"); s != "" {
		return s
	}
	return "-" // no campaign has this slug: limited principals are refused
}

// Some is the Scope of a route that is open to those who are bound to some campaigns;
// its handler shows and changes only these.
func Some(*Request) string { return access.Some }

// Both gives every route twice: as a page below PageRoot and as JSON below JSONRoot.
// Paths are given without a root: "/campaigns".
func Both(routes ...Route) []Route {
	both := make([]Route, 0, 2*len(routes))
	for _, route := range routes {
		page, json := route, route
		page.Path, json.Path = PageRoot+route.Path, JSONRoot+route.Path
		both = append(both, page, json)
	}
	return both
}

// MenuItem is a line of the console's menu, shown to those who may see what it leads to.
type MenuItem struct {
	Title string
	Path  string
	Needs access.Permission
	// Order sorts the menu: dashboard 10, campaigns 20, donations 30, gifts 40,
	// people 80, audit log 90.
	Order int
}
