package people

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"spillway/campaigns"
	"spillway/campaigns/access"
	"spillway/campaigns/access/credential"
	"spillway/campaigns/console/frame"
)

// linkLife is how long a user has to open a one-time link: a weekend.
const linkLife = 72 * time.Hour

// Pages of lists.
const (
	pageDefault = 50
	pageMax     = 500
)

// limitOf is the length of a page that was asked for.
func limitOf(r *frame.Request) (int, error) {
	text := r.Query("limit")
	if text == "" {
		return pageDefault, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > pageMax {
		return 0, frame.Invalid(frame.Field{Name: "limit", Code: "out_of_range", Detail: fmt.Sprintf("A whole number from 1 to %d.", pageMax)})
	}
	return n, nil
}

// userDocument is a user as JSON.
type userDocument struct {
	ID          string      `json:"id"`
	Email       string      `json:"email"`
	Role        access.Role `json:"role"`
	Reach       string      `json:"reach"`
	Campaigns   []string    `json:"campaigns,omitempty"`
	TOTP        bool        `json:"totp"`
	HasPassword bool        `json:"has_password"`
	DisabledAt  time.Time   `json:"disabled_at,omitzero"`
	CreatedAt   time.Time   `json:"created_at"`
	SeenAt      time.Time   `json:"seen_at,omitzero"`
}

// Words of a user's or key's reach.
const (
	reachAll       = "all"
	reachCampaigns = "campaigns"
)

func reachOf(bound []string) string {
	if bound == nil {
		return reachAll
	}
	return reachCampaigns
}

func documentOf(u access.User) userDocument {
	return userDocument{ID: u.ID, Email: u.Email, Role: u.Role, Reach: reachOf(u.Campaigns), Campaigns: u.Campaigns, TOTP: u.TOTP,
		HasPassword: u.HasPassword, DisabledAt: u.DisabledAt, CreatedAt: u.CreatedAt, SeenAt: u.SeenAt}
}

// grant is a role and how far it reaches, as forms and JSON give it.
type grant struct {
	Role      string   `json:"role"`
	Reach     string   `json:"reach"`
	Campaigns []string `json:"campaigns"`
}

// check returns the role and the campaigns that it is bound to, nil for all.
func (g grant) check() (role access.Role, bound []string, faults []frame.Field) {
	role = access.Role(g.Role)
	if !role.Valid() {
		faults = append(faults, frame.Field{Name: "role", Code: "unknown", Detail: "One of owner, organiser, finance, viewer."})
	}
	bound, more := boundOf(g.Reach, g.Campaigns)
	if role == access.Owner && bound != nil {
		more = append(more, frame.Field{Name: "reach", Code: "not_for_owners", Detail: "An owner reaches all campaigns."})
	}
	return role, bound, append(faults, more...)
}

// boundOf reads a reach: "all", or "campaigns" with their slugs, each in a value of
// its own or several in one, separated by spaces or commas.
func boundOf(reach string, values []string) (bound []string, faults []frame.Field) {
	split := func(c rune) bool { return c == ',' || c == ';' || c <= ' ' }
	for _, v := range values {
		bound = append(bound, strings.FieldsFunc(v, split)...)
	}
	switch reach {
	case reachAll:
		if len(bound) > 0 {
			faults = append(faults, frame.Field{Name: "campaigns", Code: "not_with_all", Detail: "Leave this empty, or choose to reach only these."})
		}
		return nil, faults
	case reachCampaigns:
	default:
		return nil, []frame.Field{{Name: "reach", Code: "unknown", Detail: "Either all or campaigns."}}
	}
	slices.Sort(bound)
	bound = slices.Compact(bound)
	if len(bound) == 0 {
		faults = append(faults, frame.Field{Name: "campaigns", Code: "required", Detail: "Name at least one campaign by the last part of its address."})
	}
	if err := access.CheckGrants(bound, campaigns.ValidSlug); err != nil {
		faults = append(faults, frame.Field{Name: "campaigns", Code: "invalid", Detail: "Slugs of campaigns, at most " + strconv.Itoa(access.CampaignsMax) + "."})
	}
	return bound, faults
}

// mayGive tells whether whoever asks may do all that a role may. Owners may; an API key
// makes nobody mightier than itself, and takes over nobody who is.
func mayGive(r *frame.Request, role access.Role) bool {
	for _, p := range role.Permissions().List() {
		if !r.Principal.Can(p, "") {
			return false
		}
	}
	return true
}

// errMightier refuses to change a user who may more than whoever asks.
var errMightier = frame.Forbidden("This user may do what you may not, so they are changed by an owner.")

// faultOfRole says that a role is not theirs to give.
var faultOfRole = frame.Field{Name: "role", Code: "not_yours", Detail: "Nobody gives what they may not do."}

// sentenceOf is a grant for the audit log.
func sentenceOf(role access.Role, bound []string) string {
	if bound == nil {
		return string(role) + ", all campaigns"
	}
	return string(role) + ", campaigns " + strings.Join(bound, ", ")
}

// listPage is what users.html shows.
type listPage struct {
	Users []access.User
	Next  string
	Roles []access.Role
	Form  userForm
	Fault map[string]string // by field
}

type userForm struct {
	Email string `json:"email"`
	grant
}

func (s *Section) users(r *frame.Request) error {
	return s.showUsers(r, listPage{Form: userForm{grant: grant{Role: "viewer", Reach: reachAll}}})
}

func (s *Section) showUsers(r *frame.Request, p listPage) error {
	limit, err := limitOf(r)
	if err != nil {
		return err
	}
	all, err := s.store.Users(r.Context(), r.Query("after"), limit+1)
	if err != nil {
		return err
	}
	if len(all) > limit {
		all = all[:limit]
		p.Next = all[limit-1].Email
	}
	if r.WantsJSON() {
		items := make([]userDocument, len(all))
		for i, u := range all {
			items[i] = documentOf(u)
		}
		return r.Reply(200, map[string]any{"items": items, "next": p.Next})
	}
	p.Users, p.Roles = all, access.Roles()
	return r.Page("People", usersTemplate, p)
}

// addUser makes a user and shows the link by which they choose a password.
func (s *Section) addUser(r *frame.Request) error {
	var in struct {
		Email     string   `json:"email"`
		Role      string   `json:"role"`
		Reach     string   `json:"reach"`
		Campaigns []string `json:"campaigns"`
	}
	if err := r.Input(&in); err != nil {
		return err
	}
	g := grant{in.Role, in.Reach, in.Campaigns}
	role, bound, faults := g.check()
	if !mayGive(r, role) {
		faults = append(faults, faultOfRole)
	}
	email, ok := access.CanonicalEmail(in.Email)
	if !ok {
		faults = append(faults, frame.Field{Name: "email", Code: "invalid", Detail: "This is not an e-mail address."})
	}
	if len(faults) > 0 {
		if r.WantsJSON() {
			return frame.Invalid(faults...)
		}
		r.Status(422)
		return s.showUsers(r, listPage{Form: userForm{in.Email, g}, Fault: byField(faults)})
	}
	u := access.User{ID: credential.NewID(16), Email: email, Role: role, Campaigns: bound, CreatedAt: r.Now()}
	if err := s.store.AddUser(r.Context(), u, entry(r, "user.add", email, sentenceOf(role, bound))); err != nil {
		return err
	}
	return s.showLink(r, u, 201)
}

func byField(faults []frame.Field) map[string]string {
	m := map[string]string{}
	for _, f := range faults {
		m[f.Name] = f.Detail
	}
	return m
}

// oncePage is what once.html shows: something that is not shown again.
type oncePage struct {
	Title, Text, Secret, Hint string
	Back, BackTitle           string
	Expires                   time.Time
}

// showLink makes a one-time link for a user and shows it.
func (s *Section) showLink(r *frame.Request, u access.User, status int) error {
	token, sum := credential.NewToken()
	expires := r.Now().Add(linkLife)
	if err := s.store.AddLink(r.Context(), sum, u.ID, expires, entry(r, "user.link", u.Email, "one-time link made")); err != nil {
		return named(err)
	}
	link := origin(r) + "/admin/link/" + token
	if r.WantsJSON() {
		return r.Reply(status, map[string]any{"user": documentOf(u), "link": link, "expires_at": expires})
	}
	return r.Page("One-time link", onceTemplate, oncePage{
		Title: "One-time link for " + u.Email, Secret: link, Expires: expires, Back: "/admin/users/" + u.ID, BackTitle: "To " + u.Email,
		Text: "Send it to them by a road that only they read. Whoever opens it chooses the password; it works once, and the one before does not any more.",
		Hint: "It is shown only here and now.",
	})
}

// userPage is what user.html shows.
type userPage struct {
	access.User
	Roles    []access.Role
	Sessions []access.Session
	Form     grant
	Fault    map[string]string
	Self     bool
}

func (s *Section) user(r *frame.Request) error {
	u, err := s.store.User(r.Context(), r.Param("id"))
	if err != nil {
		return named(err)
	}
	if r.WantsJSON() {
		return r.Reply(200, documentOf(u))
	}
	return s.showUser(r, u, grant{string(u.Role), reachOf(u.Campaigns), u.Campaigns}, nil)
}

func (s *Section) showUser(r *frame.Request, u access.User, form grant, faults []frame.Field) error {
	sessions, err := s.store.Sessions(r.Context(), u.ID, r.Now())
	if err != nil {
		return err
	}
	return r.Page(u.Email, userTemplate, userPage{User: u, Roles: access.Roles(), Sessions: sessions, Form: form, Fault: byField(faults), Self: u.ID == r.Principal.User})
}

// changed answers after a change of a user.
func (s *Section) changed(r *frame.Request, id, flash string) error {
	if !r.WantsJSON() {
		return r.Redirect("/admin/users/"+id, flash)
	}
	u, err := s.store.User(r.Context(), id)
	if err != nil {
		return named(err)
	}
	return r.Reply(200, documentOf(u))
}

func (s *Section) setAccess(r *frame.Request) error {
	u, err := s.store.User(r.Context(), r.Param("id"))
	if err != nil {
		return named(err)
	}
	if !mayGive(r, u.Role) {
		return errMightier
	}
	var g grant
	if err := r.Input(&g); err != nil {
		return err
	}
	role, bound, faults := g.check()
	if !mayGive(r, role) {
		faults = append(faults, faultOfRole)
	}
	if len(faults) > 0 {
		if r.WantsJSON() {
			return frame.Invalid(faults...)
		}
		r.Status(422)
		return s.showUser(r, u, g, faults)
	}
	by := entry(r, "user.access", u.Email, "from "+sentenceOf(u.Role, u.Campaigns)+" to "+sentenceOf(role, bound))
	if err := s.store.SetAccess(r.Context(), u.ID, role, bound, by); err != nil {
		return named(err)
	}
	return s.changed(r, u.ID, "Saved; it holds within a second.")
}

// with looks a user up and does something to them.
func (s *Section) with(r *frame.Request, flash string, do func(access.User) error) error {
	u, err := s.store.User(r.Context(), r.Param("id"))
	if err == nil && !mayGive(r, u.Role) {
		return errMightier
	}
	if err == nil {
		err = do(u)
	}
	if err != nil {
		return named(err)
	}
	return s.changed(r, u.ID, flash)
}

func (s *Section) disable(r *frame.Request) error {
	return s.with(r, "Shut out, and signed out everywhere.", func(u access.User) error {
		return s.store.SetDisabled(r.Context(), u.ID, true, entry(r, "user.disable", u.Email, "all sessions and links ended"))
	})
}

func (s *Section) enable(r *frame.Request) error {
	return s.with(r, "May sign in again.", func(u access.User) error {
		return s.store.SetDisabled(r.Context(), u.ID, false, entry(r, "user.enable", u.Email, ""))
	})
}

func (s *Section) signOut(r *frame.Request) error {
	return s.with(r, "Signed out everywhere.", func(u access.User) error {
		return s.store.EndSessions(r.Context(), u.ID, "", "", entry(r, "user.sign_out", u.Email, "all sessions ended"))
	})
}

func (s *Section) resetFactor(r *frame.Request) error {
	return s.with(r, "The second factor is taken away, and all sessions ended.", func(u access.User) error {
		return s.store.SetFactor(r.Context(), u.ID, nil, 0, nil, "", entry(r, "user.totp_reset", u.Email, "second factor taken away; all sessions ended"))
	})
}

func (s *Section) newLink(r *frame.Request) error {
	u, err := s.store.User(r.Context(), r.Param("id"))
	if err != nil {
		return named(err)
	}
	if !mayGive(r, u.Role) {
		return errMightier
	}
	if !u.DisabledAt.IsZero() {
		return frame.Conflict("disabled", "This user is shut out: let them in first.")
	}
	return s.showLink(r, u, 201)
}
