package console

import (
	"errors"
	"fmt"
	"slices"

	"github.com/valyala/fasthttp"

	"spillway/campaigns/access"
	"spillway/campaigns/console/frame"
)

// assetAge lets browsers keep assets for ever: their names change with their content.
const assetAge = "public, max-age=31536000, immutable"

// addRoutes adds the console's own routes and those of all sections.
func (c *Console) addRoutes() error {
	public := func(method, path string, handle func(*frame.Request) error) frame.Route {
		return frame.Route{Method: method, Path: path, Needs: access.Public, Handle: handle}
	}
	errs := []error{c.mux.Add(true,
		public("GET", "/", func(r *frame.Request) error { return r.Redirect(frame.PageRoot, "") }),
		public("GET", "/robots.txt", robots),
		public("GET", "/healthz", healthz),
		public("GET", loginPath, c.loginPage),
		public("POST", loginPath, c.login),
		public("GET", codePath, c.codePage),
		public("POST", codePath, c.code),
		public("GET", linkRoot+"{token}", c.linkPage),
		public("POST", linkRoot+"{token}", c.claim),
		frame.Route{Method: "POST", Path: "/admin/logout", Needs: access.OwnAccount, Handle: c.logout},
		frame.Route{Method: "GET", Path: frame.PageRoot, Needs: access.OwnAccount, Handle: c.home},
	)}
	for _, d := range c.deps.Documents {
		errs = append(errs, c.mux.Add(true, public("GET", d.Path, func(r *frame.Request) error { return serveDocument(r, d) })))
	}
	for _, a := range c.shell.assets {
		errs = append(errs, c.mux.Add(true, public("GET", a.URL, func(r *frame.Request) error { return serveAsset(r, a) })))
	}
	for i, section := range c.deps.Sections {
		if err := c.mux.Add(false, section.Routes()...); err != nil {
			errs = append(errs, fmt.Errorf("section %d (%T): %w", i, section, err))
		}
		for _, item := range section.Menu() {
			if route, _, _ := c.mux.Find("GET", item.Path); route == nil || !item.Needs.Valid() || item.Needs == access.Public {
				errs = append(errs, fmt.Errorf("section %d (%T): menu item %q leads nowhere or needs nothing", i, section, item.Title))
			}
			c.menu = append(c.menu, item)
		}
	}
	slices.SortStableFunc(c.menu, func(a, b frame.MenuItem) int { return a.Order - b.Order })
	return errors.Join(errs...)
}

// menuOf is what a principal may see of the menu.
func (c *Console) menuOf(p *access.Principal) []frame.MenuItem {
	var items []frame.MenuItem
	for _, item := range c.menu {
		if c.mayOpen(p, item) {
			items = append(items, item)
		}
	}
	return items
}

// mayOpen tells whether a menu item would not be refused: its route may ask for more
// than the item does.
func (c *Console) mayOpen(p *access.Principal, item frame.MenuItem) bool {
	if !p.Can(item.Needs, access.Some) {
		return false
	}
	route, _, _ := c.mux.Find("GET", item.Path)
	slug := ""
	if route.Scope != nil {
		slug = access.Some // a menu leads to lists, which narrow by themselves
	}
	return p.Can(route.Needs, slug)
}

// home leads to the first page that its user may see.
func (c *Console) home(r *frame.Request) error {
	if items := c.menuOf(&r.Principal); len(items) > 0 {
		return r.Redirect(items[0].Path, "")
	}
	return frame.Forbidden("Nothing of the console is open to you; ask an owner for a role.")
}

func robots(r *frame.Request) error {
	r.Raw().SetContentType("text/plain; charset=utf-8")
	r.Raw().SetBodyString("User-agent: *\nDisallow: /\n")
	return nil
}

func healthz(r *frame.Request) error {
	r.Raw().SetContentType("text/plain; charset=utf-8")
	r.Raw().SetBodyString("ok\n")
	return nil
}

func serveDocument(r *frame.Request, d Document) error {
	h := &r.Raw().Response.Header
	if d.Policy != "" {
		h.Set(fasthttp.HeaderContentSecurityPolicy, d.Policy)
	}
	r.Raw().SetContentType(d.ContentType)
	r.Raw().SetBody(d.Body)
	return nil
}

func serveAsset(r *frame.Request, a *frame.Asset) error {
	raw := r.Raw()
	h := &raw.Response.Header
	h.Set(fasthttp.HeaderCacheControl, assetAge)
	h.Set(fasthttp.HeaderVary, fasthttp.HeaderAcceptEncoding)
	raw.SetContentType(a.ContentType)
	if a.Gzip != nil && raw.Request.Header.HasAcceptEncoding("gzip") {
		h.Set(fasthttp.HeaderContentEncoding, "gzip")
		raw.SetBody(a.Gzip)
		return nil
	}
	raw.SetBody(a.Body)
	return nil
}
