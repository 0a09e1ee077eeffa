package broker

// Role is who connects. It names the prefix of the connection's inboxes, so that the
// broker can keep each role's answers from the others, and it says whether streams may
// be made. What each role may do is in deploy/nats-roles.conf.
type Role string

// The roles. The zero Role is a process that is all of them, such as `spillway up`: the
// client's usual inboxes, and streams are made.
const (
	RoleFrontEnd  Role = "ingest"
	RoleLedger    Role = "ledger"
	RolePayments  Role = "payments"
	RoleAdmin     Role = "admin"
	RoleGenerator Role = "generator"
	RoleOperator  Role = "operator"
)

// Roles lists those that have rights of their own.
var Roles = []Role{RoleFrontEnd, RoleLedger, RolePayments, RoleAdmin, RoleGenerator, RoleOperator}

// InboxPrefix is the first token of every subject that answers to the role come on; "" is
// the client's own.
func (r Role) InboxPrefix() string {
	if r == "" {
		return ""
	}
	return "_INBOX_" + string(r)
}

// makesStreams tells whether the role may create streams and consumers. The others wait
// until they are there: a front-end that was broken into can then change nothing of them.
func (r Role) makesStreams() bool { return r == "" || r == RoleLedger || r == RoleOperator }
