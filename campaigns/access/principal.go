package access

import "slices"

// Some stands where a campaign's slug does and means: at least one campaign. A route
// that asks with it must narrow what it shows or does to Principal.Campaigns itself.
const Some = "*"

// Principal is who makes a request: a user by a session, or an API key. The zero
// value is nobody and may do only what is Public.
type Principal struct {
	User string // the user's ID, or the API key's; "" for nobody
	Name string // the user's e-mail address, or the key's name: what the audit log says
	Role Role   // the user's; "" for a key
	// Campaigns are the slugs that the principal is bound to; nil for all of them.
	Campaigns []string
	Key       bool        // an API key
	Scopes    Permissions // the key's; of no meaning for a user
}

// Known tells whether the principal is anybody.
func (p *Principal) Known() bool { return p.User != "" }

// Limited tells whether the principal is bound to some campaigns.
func (p *Principal) Limited() bool { return p.Campaigns != nil }

// Permissions are what the principal may do where its campaigns allow.
func (p *Principal) Permissions() Permissions {
	switch {
	case !p.Known():
		return SetOf(Public)
	case p.Key:
		return p.Scopes | SetOf(Public)
	}
	return p.Role.Permissions() | SetOf(OwnAccount, Public)
}

// Can tells whether the principal may do what, for the campaign of this slug. The
// slug "" stands for the installation as a whole, which a limited principal may
// neither see nor change; Some stands for any campaign.
func (p *Principal) Can(what Permission, slug string) bool {
	switch {
	case !p.Permissions().Has(what):
		return false
	case what == Public || what == OwnAccount || p.Campaigns == nil:
		return true
	case slug == Some:
		return len(p.Campaigns) > 0
	}
	return slug != "" && slices.Contains(p.Campaigns, slug)
}
