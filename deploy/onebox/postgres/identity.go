package postgres

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
)

// Identity is the user that the server runs as. Postgres refuses to run as root.
type Identity struct {
	Name     string
	UID, GID uint32
	// Drop is true when this process is root and the child becomes another user.
	Drop bool
}

// servants are the users that a root process may run the server as, best first.
// initdb needs a name, so that a bare number will not do.
var servants = []string{"postgres", "_postgres", "nobody"}

// ServerIdentity is this process's own user or, for root, an unprivileged one.
func ServerIdentity() (Identity, error) {
	if uid := os.Geteuid(); uid != 0 {
		u, err := user.LookupId(strconv.Itoa(uid))
		if err != nil { // containers with made-up users; initdb would say it less plainly
			return Identity{}, fmt.Errorf("Postgres runs only as a user with a name, and there is none for user id %d; add it to /etc/passwd or name a real server with --database-url", uid)
		}
		return Identity{Name: u.Username, UID: uint32(uid), GID: uint32(os.Getegid())}, nil
	}
	for _, name := range servants {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uerr := strconv.ParseUint(u.Uid, 10, 32)
		gid, gerr := strconv.ParseUint(u.Gid, 10, 32)
		if errors.Join(uerr, gerr) == nil && uid != 0 {
			return Identity{Name: name, UID: uint32(uid), GID: uint32(gid), Drop: true}, nil
		}
	}
	return Identity{}, fmt.Errorf("Postgres will not run as root, and there is none of the users %v to run it as; run as an ordinary user", servants)
}

// own gives a path to the identity.
func (id Identity) own(path string) error {
	if !id.Drop {
		return nil
	}
	return os.Chown(path, int(id.UID), int(id.GID))
}
