// Package people is the console's section of who may use it: users, their roles and
// grants, API keys, the audit log, and everybody's own account.
//
// The one invariant: what opens something, a link, a key, a recovery code, is shown
// once, to the one who asked for it, and is stored only as its sum.
//
// No goroutines of its own.
package people

import (
	"context"
	"embed"
	"errors"
	"html/template"
	"time"

	"spillway/campaigns/access"
	"spillway/campaigns/access/credential"
	"spillway/campaigns/console/frame"
)

// Store keeps users, keys and the audit log. Changes and their entries in the log are
// one. Any method may return access.ErrUnavailable.
type Store interface {
	Users(ctx context.Context, after string, limit int) ([]access.User, error)
	User(ctx context.Context, id string) (access.User, error)
	Proofs(ctx context.Context, emailOrID string) (access.Proofs, error)
	AddUser(ctx context.Context, u access.User, by access.Entry) error
	SetAccess(ctx context.Context, id string, role access.Role, campaigns []string, by access.Entry) error
	SetDisabled(ctx context.Context, id string, disabled bool, by access.Entry) error
	SetPassword(ctx context.Context, id, phc, keptSession string, by access.Entry) error
	SetFactor(ctx context.Context, id string, sealed []byte, step int64, recovery []credential.Sum, keptSession string, by access.Entry) error
	RecoveryLeft(ctx context.Context, id string) (int, error)
	AddLink(ctx context.Context, sum credential.Sum, user string, expires time.Time, by access.Entry) error

	Sessions(ctx context.Context, user string, now time.Time) ([]access.Session, error)
	EndSessions(ctx context.Context, user, id, kept string, by access.Entry) error

	Keys(ctx context.Context) ([]access.Key, error)
	AddKey(ctx context.Context, k access.Key, sum credential.Sum, by access.Entry) error
	RevokeKey(ctx context.Context, id string, by access.Entry) error

	Log(ctx context.Context, q access.LogQuery) ([]access.Entry, error)
}

// Sealer seals the secret of a user's second factor.
type Sealer interface {
	SealSecret(owner string, plain []byte) []byte
}

// Section is this part of the console.
type Section struct {
	store  Store
	sealer Sealer
	hasher *credential.Hasher
	tries  tries
}

// New makes the section.
func New(store Store, sealer Sealer, hasher *credential.Hasher) *Section {
	return &Section{store: store, sealer: sealer, hasher: hasher}
}

//go:embed templates
var files embed.FS

func page(name string) *template.Template { return frame.Parse(files, nil, "templates/"+name) }

var (
	usersTemplate   = page("users.html")
	userTemplate    = page("user.html")
	onceTemplate    = page("once.html")
	keysTemplate    = page("keys.html")
	logTemplate     = page("log.html")
	accountTemplate = page("account.html")
	factorTemplate  = page("factor.html")
	codesTemplate   = page("codes.html")
)

// Menu has users, keys and the log for those who may, and the own account for all.
func (s *Section) Menu() []frame.MenuItem {
	return []frame.MenuItem{
		{Title: "People", Path: "/admin/users", Needs: access.ManageUsers, Order: 80},
		{Title: "API keys", Path: "/admin/keys", Needs: access.ManageUsers, Order: 82},
		{Title: "Audit log", Path: "/admin/audit", Needs: access.ViewAudit, Order: 90},
		{Title: "My account", Path: "/admin/account", Needs: access.OwnAccount, Order: 95},
	}
}

// Routes are the section's, as pages and as JSON; the own account has pages only: it
// is people's.
func (s *Section) Routes() []frame.Route {
	manage := func(method, path string, handle func(*frame.Request) error) frame.Route {
		return frame.Route{Method: method, Path: path, Needs: access.ManageUsers, Handle: handle}
	}
	own := func(method, path string, handle func(*frame.Request) error) frame.Route {
		return frame.Route{Method: method, Path: "/admin/account" + path, Needs: access.OwnAccount, Handle: handle}
	}
	return append(frame.Both(
		manage("GET", "/users", s.users),
		manage("POST", "/users", s.addUser),
		manage("GET", "/users/{id}", s.user),
		manage("POST", "/users/{id}", s.setAccess),
		manage("POST", "/users/{id}/disable", s.disable),
		manage("POST", "/users/{id}/enable", s.enable),
		manage("POST", "/users/{id}/link", s.newLink),
		manage("POST", "/users/{id}/reset-totp", s.resetFactor),
		manage("POST", "/users/{id}/sign-out", s.signOut),
		manage("GET", "/keys", s.keys),
		manage("POST", "/keys", s.addKey),
		manage("POST", "/keys/{id}/revoke", s.revokeKey),
		frame.Route{Method: "GET", Path: "/audit", Needs: access.ViewAudit, Handle: s.log},
	),
		own("GET", "", s.account),
		own("POST", "/password", s.setPassword),
		own("POST", "/factor", s.startFactor),
		own("POST", "/factor/confirm", s.confirmFactor),
		own("POST", "/factor/remove", s.removeFactor),
		own("POST", "/sessions/end", s.endSessions),
	)
}

// entry is what the audit log says of a change that the requester makes.
func entry(r *frame.Request, action, subject, detail string) access.Entry {
	return access.Entry{Actor: r.Principal.User, Name: r.Principal.Name, Network: r.Network(), Action: action, Subject: subject, Detail: detail}
}

// named turns what the store refuses about a user into words.
func named(err error) error {
	if errors.Is(err, access.ErrUnknown) {
		return frame.NotFound("user")
	}
	return err
}

// origin is how the requester's browser reaches the console, for links.
func origin(r *frame.Request) string {
	scheme := "http://"
	if r.Secure() {
		scheme = "https://"
	}
	return scheme + string(r.Raw().Host())
}
