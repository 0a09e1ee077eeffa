package access

import "time"

// Proofs are what a user proves themselves with.
type Proofs struct {
	User
	Password string // PHC string; "" for none
	Factor   []byte // sealed; nil for none
	Step     int64  // last step of the second factor that was used
}

// Live is a session with the user it belongs to.
type Live struct {
	Session
	// Owner is the user that the session is of.
	Owner   User
	Pending bool
}

// LogQuery narrows the audit log. Zero fields do not narrow.
type LogQuery struct {
	Name     string // of the actor, whole
	Action   string // its beginning, such as "user."
	Subject  string // whole
	From, To time.Time
	Before   int64 // entries older than this one; 0 for the newest
	Limit    int
}
