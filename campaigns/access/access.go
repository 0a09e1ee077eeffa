// Package access is the vocabulary of who may do what in the organiser's console:
// permissions, roles, users, API keys and the entries of the audit log.
//
// The one invariant: what nobody was given is refused. The zero value of every type
// here may do nothing.
package access

import "slices"

// Permission is one thing that the console lets somebody do. The zero value is held
// by nobody.
type Permission uint8

// The permissions. A route needs exactly one; it may ask for more inside.
const (
	ViewDashboard Permission = iota + 1
	ViewCampaigns
	EditCampaigns
	ViewDonations
	// ViewPersonal shows names, e-mail addresses and messages of donors.
	ViewPersonal
	Refund
	OfflineGift
	HideGift
	Export
	// Switch turns parts of the donors' pages off and on.
	Switch
	// Pace pauses charging and sets its rate.
	Pace
	ManageUsers
	ViewAudit
	// OwnAccount is held by every user who is signed in, and by no API key: password,
	// second factor, sessions.
	OwnAccount
	// Public is held by everybody, also by those who are not signed in. The console's
	// own pages need it (login, styles); no section may.
	Public

	permissions // one more than there are
)

var permissionNames = [permissions]string{
	ViewDashboard: "view_dashboard", ViewCampaigns: "view_campaigns", EditCampaigns: "edit_campaigns", ViewDonations: "view_donations",
	ViewPersonal: "view_personal", Refund: "refund", OfflineGift: "offline_gift", HideGift: "hide_gift", Export: "export", Switch: "switch",
	Pace: "pace", ManageUsers: "manage_users", ViewAudit: "view_audit", OwnAccount: "own_account", Public: "public",
}

// String is the permission's name as API keys, the audit log and the contract have it.
func (p Permission) String() string {
	if !p.Valid() {
		return "none"
	}
	return permissionNames[p]
}

// Valid tells whether p is one of the permissions above.
func (p Permission) Valid() bool { return p > 0 && p < permissions }

// Grantable lists what roles and API keys are made of, in order: everything but
// OwnAccount and Public.
func Grantable() []Permission {
	all := make([]Permission, 0, permissions)
	for p := ViewDashboard; p < OwnAccount; p++ {
		all = append(all, p)
	}
	return all
}

// ParsePermission finds a grantable permission by its name.
func ParsePermission(name string) (Permission, bool) {
	for _, p := range Grantable() {
		if permissionNames[p] == name {
			return p, true
		}
	}
	return 0, false
}

// Permissions is a set of permissions.
type Permissions uint32

// SetOf is the set of these permissions.
func SetOf(of ...Permission) (s Permissions) {
	for _, p := range of {
		if p.Valid() {
			s |= 1 << p
		}
	}
	return s
}

// Has tells whether p is in the set.
func (s Permissions) Has(p Permission) bool { return p.Valid() && s&(1<<p) != 0 }

// List is the set in order.
func (s Permissions) List() []Permission {
	var all []Permission
	for p := Permission(1); p < permissions; p++ {
		if s.Has(p) {
			all = append(all, p)
		}
	}
	return all
}

// Names are the names of the set's permissions, in order.
func (s Permissions) Names() []string {
	names := []string{}
	for _, p := range s.List() {
		names = append(names, p.String())
	}
	return names
}

// Role is a named set of permissions that a user has. The zero value has none.
type Role string

// The roles.
const (
	Owner     Role = "owner"
	Organiser Role = "organiser"
	Finance   Role = "finance"
	Viewer    Role = "viewer"
)

// Roles lists the roles, the mightiest first.
func Roles() []Role { return []Role{Owner, Organiser, Finance, Viewer} }

// Valid tells whether r is one of the roles.
func (r Role) Valid() bool { return slices.Contains(Roles(), r) }

// Permissions are what the role may do. Only an owner manages users, so a role is
// never raised by the one who has it.
func (r Role) Permissions() Permissions {
	switch r {
	case Owner:
		return SetOf(Grantable()...)
	case Organiser:
		return SetOf(ViewDashboard, ViewCampaigns, EditCampaigns, ViewDonations, ViewPersonal, OfflineGift, HideGift, Export, Switch, ViewAudit)
	case Finance:
		return SetOf(ViewDashboard, ViewCampaigns, ViewDonations, ViewPersonal, Refund, OfflineGift, Export, ViewAudit)
	case Viewer:
		return SetOf(ViewDashboard, ViewCampaigns, ViewDonations)
	}
	return 0
}
