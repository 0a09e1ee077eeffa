package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"time"
)

// ErrNoPermission says that Postgres could be installed, but not by this user
// without a question.
var ErrNoPermission = errors.New("installing needs root or sudo without a password")

// installTimeout bounds one command of the package manager: a download of some 50
// MB over a slow line.
const installTimeout = 15 * time.Minute

// manager is a package manager and how it installs a Postgres server.
type manager struct {
	program string   // found in PATH
	install []string // the whole command, without sudo
	root    bool     // whether it must run as root; Homebrew must not
}

// managers in the order in which they are looked for. None of their packages but
// Debian's starts a server.
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
	if stream := h.moduleStream(m); stream != nil {
		command = strings.Join(stream, " ") + " && " + command
	}
	if m.root && h.UID != 0 {
		command = "sudo " + strings.ReplaceAll(command, "&& ", "&& sudo ")
	}
	return command
}

// Install installs Postgres with the machine's package manager, telling say each
// thing before it does it; the commands' output goes to out. It starts no server,
// and on Debian keeps the package from starting one.
//
// Errors: ErrNoPermission; ErrNotFound for a machine without a package manager we
// know, or whose Postgres is too old; what the package manager said. They are
// meant to be shown with Hint.
func (h *Host) Install(ctx context.Context, say func(string), out io.Writer) (Binaries, error) {
	m, ok := h.manager()
	if !ok {
		return Binaries{}, fmt.Errorf("%w, and no package manager that could install it", ErrNotFound)
	}
	as, err := h.privilege(ctx, m)
	if err != nil {
		return Binaries{}, err
	}
	i := &installation{host: h, manager: m, as: as, say: say, out: out}
	if err := i.run(ctx); err != nil {
		return Binaries{}, err
	}
	b, err := h.Find(ctx, "", 0)
	if err != nil {
		return Binaries{}, fmt.Errorf("after %q: %w", strings.Join(m.install, " "), err)
	}
	return b, nil
}

// privilege is what goes in front of a command that needs root: nothing for root.
func (h *Host) privilege(ctx context.Context, m manager) ([]string, error) {
	switch {
	case !m.root && h.UID == 0:
		return nil, fmt.Errorf("%w: %s does not run as root", ErrNoPermission, m.program)
	case !m.root || h.UID == 0:
		return nil, nil
	}
	if _, ok := h.lookPath("sudo"); !ok {
		return nil, ErrNoPermission
	}
	if _, err := h.output(ctx, "sudo", "-n", "true"); err != nil {
		return nil, ErrNoPermission
	}
	return []string{"sudo", "-n"}, nil
}

// installation is one run of a package manager.
type installation struct {
	host    *Host
	manager manager
	as      []string
	say     func(string)
	out     io.Writer
}

func (i *installation) run(ctx context.Context) error {
	switch i.manager.program {
	case "apt-get":
		return i.debian(ctx)
	case "dnf", "yum":
		if stream := i.host.moduleStream(i.manager); stream != nil {
			if err := i.do(ctx, stream...); err != nil {
				return err
			}
		}
	}
	return i.do(ctx, i.manager.install...)
}

// do says and runs one command.
func (i *installation) do(ctx context.Context, argv ...string) error {
	ctx, cancel := context.WithTimeout(ctx, installTimeout)
	defer cancel()
	argv = append(i.as[:len(i.as):len(i.as)], argv...)
	i.say("running: " + strings.Join(argv, " "))
	if err := i.host.Run(ctx, i.out, argv...); err != nil {
		return fmt.Errorf("%s: %w", strings.Join(argv, " "), err)
	}
	return nil
}

// createCluster is the file that Debian's package reads before it makes and starts
// a cluster (pg_createcluster(1)).
const createCluster = "/etc/postgresql-common/createcluster.conf"

// ownSetting matches an administrator's own word on it.
var ownSetting = regexp.MustCompile(`(?m)^[ \t]*create_main_cluster[ \t]*=`)

// aptEnvironment keeps apt from asking questions, and ucf, which looks after
// createCluster, from replacing what is there.
var aptEnvironment = []string{"env", "DEBIAN_FRONTEND=noninteractive", "UCF_FORCE_CONFFOLD=1"}

func (i *installation) debian(ctx context.Context) error {
	content, err := os.ReadFile(i.host.path(createCluster))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if !ownSetting.Match(content) {
		i.say("so that no server starts that nobody asked for: create_main_cluster = false in " + createCluster)
		const script = `mkdir -p /etc/postgresql-common && printf '%s\n' '# spillway runs a private server and needs the programs only' 'create_main_cluster = false' >> ` + createCluster
		if err := i.do(ctx, "sh", "-c", script); err != nil {
			return err
		}
	}
	install := append(aptEnvironment[:len(aptEnvironment):len(aptEnvironment)],
		"apt-get", "install", "-y", "--no-install-recommends", "postgresql")
	if len(i.host.glob("/var/lib/apt/lists/*_Packages*")) > 0 {
		if err := i.do(ctx, install...); err == nil || ctx.Err() != nil {
			return err
		}
		i.say("that did not work; the package lists may be old")
	}
	if err := i.do(ctx, "apt-get", "update"); err != nil {
		return err
	}
	return i.do(ctx, install...)
}

// enterprise matches a Red Hat Enterprise Linux 8 or 9 or one built like it, whose
// default Postgres is older than MajorMin; later ones have a new enough default
// and no modules.
var enterprise = regexp.MustCompile(`(?m)^PLATFORM_ID="?platform:el[89]"?`)

// moduleStream is the command that chooses a new enough Postgres where the
// distribution offers several; nil elsewhere.
func (h *Host) moduleStream(m manager) []string {
	if m.program != "dnf" && m.program != "yum" {
		return nil
	}
	release, err := os.ReadFile(h.path("/etc/os-release"))
	if err != nil || !enterprise.Match(release) {
		return nil
	}
	return []string{m.program, "module", "enable", "-y", "postgresql:15"}
}
