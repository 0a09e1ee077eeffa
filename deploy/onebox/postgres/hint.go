package postgres

import "strings"

// manager is a package manager and how it installs a Postgres server.
type manager struct {
	program string   // found in PATH
	install []string // the whole command, without sudo
	root    bool     // whether it needs root
}

// managers in the order in which they are looked for. A machine that has apt-get
// and dnf is a Debian with a stray dnf more often than the reverse.
var managers = []manager{
	{"apt-get", []string{"apt-get", "install", "-y", "postgresql"}, true},
	{"dnf", []string{"dnf", "install", "-y", "postgresql-server"}, true},
	{"yum", []string{"yum", "install", "-y", "postgresql-server"}, true},
	{"apk", []string{"apk", "add", "postgresql"}, true},
	{"pacman", []string{"pacman", "-S", "--noconfirm", "postgresql"}, true},
	{"zypper", []string{"zypper", "--non-interactive", "install", "postgresql-server"}, true},
	{"brew", []string{"brew", "install", "postgresql@17"}, false},
}

// manager finds the machine's package manager.
func (h *Host) manager() (manager, bool) {
	for _, m := range managers {
		if _, ok := h.lookPath(m.program); ok {
			return m, true
		}
	}
	return manager{}, false
}

// Hint is the command that installs Postgres on this machine, for a person to run.
func (h *Host) Hint() string {
	m, ok := h.manager()
	if !ok {
		return "install PostgreSQL 15 or newer (https://www.postgresql.org/download/) and put its programs in PATH"
	}
	command := strings.Join(m.install, " ")
	if m.root && h.UID != 0 {
		command = "sudo " + command
	}
	return command
}
