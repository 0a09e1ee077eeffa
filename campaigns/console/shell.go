package console

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"strings"

	"spillway/campaigns/access"
	"spillway/campaigns/console/frame"
	"spillway/campaigns/web/style"
)

//go:embed assets templates
var files embed.FS

// own are the console's own assets, with the tokens that donors' pages have too.
var own = func() *frame.Assets {
	a := frame.NewAssets(files, "assets")
	a.Add("base.css", style.CSS)
	return a
}()

var (
	shellTemplate   = frame.Parse(files, own, "templates/shell.html")
	problemTemplate = frame.Parse(files, own, "templates/problem.html")
	loginTemplate   = frame.Parse(files, own, "templates/login.html")
	codeTemplate    = frame.Parse(files, own, "templates/code.html")
	linkTemplate    = frame.Parse(files, own, "templates/link.html")
)

// shell is what stands around every page.
type shell struct{ assets []*frame.Asset }

// newShell gathers the assets of all sections. Errors: two of one name.
func newShell(sections []frame.Section) (*shell, error) {
	s := &shell{}
	taken := map[string]bool{}
	var errs []error
	add := func(of *frame.Assets) {
		for _, a := range of.List() {
			if taken[a.Name] {
				errs = append(errs, fmt.Errorf("asset %q is there already", a.Name))
				continue
			}
			taken[a.Name] = true
			s.assets = append(s.assets, a)
		}
	}
	add(own)
	for _, section := range sections {
		if with, ok := section.(frame.WithAssets); ok {
			add(with.Assets())
		}
	}
	return s, errors.Join(errs...)
}

// surroundingsOfPage is what shell.html shows.
type surroundingsOfPage struct {
	Title     string
	HTML      template.HTML
	Menu      []menuLine
	Who       string
	Role      access.Role
	Campaigns int // that the user is bound to
	Flash     string
	Away      bool // the database does not answer
	Bare      bool
	// Retry has the browser load the page again by itself: it is an error that passes.
	Retry bool
}

type menuLine struct {
	frame.MenuItem
	Current bool
}

// render is frame.Surroundings.Shell.
func (c *Console) render(r *frame.Request, content frame.Content) ([]byte, error) {
	p := surroundingsOfPage{
		Title: content.Title, HTML: content.HTML, Who: r.Principal.Name, Role: r.Principal.Role, Campaigns: len(r.Principal.Campaigns),
		Flash: r.TakeFlash(), Away: c.away.Load(), Bare: content.Bare || !r.Principal.Known(), Retry: content.Retry && r.Method() == "GET",
	}
	if !p.Bare {
		best := -1
		for _, item := range c.menuOf(&r.Principal) {
			p.Menu = append(p.Menu, menuLine{MenuItem: item})
			// The longest path above the page is where it belongs.
			if under(r.Path(), item.Path) && (best < 0 || len(item.Path) > len(p.Menu[best].Path)) {
				best = len(p.Menu) - 1
			}
		}
		if best >= 0 {
			p.Menu[best].Current = true
		}
	}
	var b bytes.Buffer
	if err := shellTemplate.Execute(&b, p); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func under(path, root string) bool {
	rest, ok := strings.CutPrefix(path, root)
	return ok && (rest == "" || rest[0] == '/')
}

// problemPage answers with a refusal that people read.
func (c *Console) problemPage(r *frame.Request, p *frame.Problem) error {
	var b strings.Builder
	if err := problemTemplate.Execute(&b, p); err != nil {
		return err
	}
	return r.Content(frame.Content{Title: p.Title(), HTML: template.HTML(b.String()), Retry: p.Status == 503})
}

// bare answers with a page that has no menu.
func bare(r *frame.Request, title string, t *template.Template, data any) error {
	var b strings.Builder
	if err := t.Execute(&b, data); err != nil {
		return fmt.Errorf("page %q: %w", title, err)
	}
	return r.Content(frame.Content{Title: title, HTML: template.HTML(b.String()), Bare: true})
}
