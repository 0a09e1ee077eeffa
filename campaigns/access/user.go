package access

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// User is somebody who signs in to the console.
type User struct {
	ID    string // 32 hex digits
	Email string // see CanonicalEmail; unique
	Role  Role
	// Campaigns are the slugs that the user is bound to; nil for all of them.
	Campaigns []string
	// TOTP tells whether a second factor is asked for at login.
	TOTP bool
	// HasPassword is false until the user has opened a one-time link.
	HasPassword bool
	// DisabledAt is when the user was shut out; zero for one who may sign in.
	DisabledAt time.Time
	CreatedAt  time.Time
	// SeenAt is when the user last signed in; zero for never.
	SeenAt time.Time
}

// Principal is the user as one who makes a request.
func (u *User) Principal() Principal {
	return Principal{User: u.ID, Name: u.Email, Role: u.Role, Campaigns: u.Campaigns}
}

// Session is one signed-in browser.
type Session struct {
	ID        string // 16 hex digits, shown to its user; opens nothing
	User      string
	CreatedAt time.Time
	SeenAt    time.Time
	ExpiresAt time.Time // at the latest
	Network   string    // address prefix of the login
	Agent     string    // browser and system, in a word or two
}

// Key is an API key as it is listed: its secret is told once, when it is made.
type Key struct {
	ID     string // 16 lower-case letters and digits
	Name   string
	Scopes Permissions
	// Campaigns are the slugs that the key is bound to; nil for all of them.
	Campaigns []string
	CreatedBy string // an e-mail address
	CreatedAt time.Time
	ExpiresAt time.Time // zero for never
	RevokedAt time.Time // zero for a key that works
	UsedAt    time.Time // zero for never; a minute old at most
}

// Principal is the key as one that makes a request.
func (k *Key) Principal() Principal {
	return Principal{User: k.ID, Name: k.Name, Campaigns: k.Campaigns, Key: true, Scopes: k.Scopes}
}

// Entry is one line of the audit log, which only grows.
type Entry struct {
	ID      int64 // rises
	At      time.Time
	Actor   string // ID of a user or key; "" for the command line
	Name    string // of the actor
	Network string // address prefix, such as 192.0.2.0/24
	Action  string // such as user.disable; see ValidAction
	Subject string // what it was done to: a slug, an ID, an e-mail address of a user
	Detail  string // what changed, in a sentence; no donor's data
}

// Bounds of what people type.
const (
	// EmailBytesMax is the longest e-mail address (RFC 5321, 4.5.3.1.3, less the brackets).
	EmailBytesMax = 254
	// KeyNameCharsMax is the longest name of an API key.
	KeyNameCharsMax = 80
	// CampaignsMax is the most campaigns that a user or a key may be bound to: a list
	// that people keep in their heads, and that every request may look through.
	CampaignsMax = 500
	// SubjectBytesMax and DetailCharsMax bound an audit entry, so that a year of them
	// stays small; what is longer is cut.
	SubjectBytesMax = 300
	DetailCharsMax  = 2000
)

// CanonicalEmail is the form in which an e-mail address is stored and compared:
// trimmed, in lower case. ok is false for what is none: exactly one @ between
// something and something with a dot or "localhost", visible characters only, at
// most EmailBytesMax.
func CanonicalEmail(s string) (email string, ok bool) {
	if !utf8.ValidString(s) {
		return "", false
	}
	s = strings.ToLower(strings.TrimSpace(s))
	name, host, found := strings.Cut(s, "@")
	if !found || name == "" || strings.Contains(host, "@") || len(s) > EmailBytesMax {
		return "", false
	}
	if host != "localhost" && (!strings.Contains(host, ".") || strings.HasPrefix(host, ".") || strings.HasSuffix(host, ".")) {
		return "", false
	}
	if strings.IndexFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f || strings.ContainsRune(`"<>(),;:\[]`, r) }) >= 0 {
		return "", false
	}
	return s, true
}

// ValidAction tells whether s is an action of the audit log: two words or more of
// a-z and '_', joined by dots.
func ValidAction(s string) bool {
	words := strings.Split(s, ".")
	if len(words) < 2 || len(s) > 64 {
		return false
	}
	for _, w := range words {
		if w == "" || strings.Trim(w, "abcdefghijklmnopqrstuvwxyz_") != "" {
			return false
		}
	}
	return true
}

// What the administration of users may end in.
var (
	// ErrUnknown says that there is no such user, key, session or link.
	ErrUnknown = errors.New("no such user, key, session or link")
	// ErrTaken says that a user with this e-mail address is there already.
	ErrTaken = errors.New("a user with this e-mail address exists")
	// ErrLastOwner says that nobody would be left to manage users.
	ErrLastOwner = errors.New("the last owner who can sign in must stay one")
	// ErrUnavailable says that users and sessions cannot be read at the moment.
	ErrUnavailable = errors.New("the database of users cannot be reached")
	// ErrInvalid says that a field breaks a rule; its text says which.
	ErrInvalid = errors.New("not valid")
)

// CheckGrants returns an error wrapping ErrInvalid when the list of campaigns cannot
// be stored.
func CheckGrants(campaigns []string, valid func(slug string) bool) error {
	if len(campaigns) > CampaignsMax {
		return fmt.Errorf("%w: %d campaigns, at most %d", ErrInvalid, len(campaigns), CampaignsMax)
	}
	for _, slug := range campaigns {
		if !valid(slug) {
			return fmt.Errorf("%w: %q is not the slug of a campaign", ErrInvalid, slug)
		}
	}
	return nil
}
