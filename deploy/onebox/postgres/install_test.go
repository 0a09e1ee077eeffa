package postgres

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
)

// installs runs Install and returns the commands that changed the machine.
func installs(t *testing.T, m *machine) (changes []string, said string, err error) {
	t.Helper()
	var lines []string
	_, err = m.host().Install(t.Context(), func(s string) { lines = append(lines, s) }, &bytes.Buffer{})
	for _, line := range m.ran {
		if !strings.HasSuffix(line, "--version") && !strings.HasSuffix(line, "--bindir") && line != "sudo -n true" {
			changes = append(changes, line)
		}
	}
	return changes, strings.Join(lines, "\n"), err
}

const (
	aptInstall = "env DEBIAN_FRONTEND=noninteractive UCF_FORCE_CONFFOLD=1 apt-get install -y --no-install-recommends postgresql"
	noCluster  = "sh -c mkdir -p /etc/postgresql-common"
)

func debian(t *testing.T) *machine {
	m := newMachine(t)
	m.program("/usr/bin/apt-get")
	m.says("sh -c ", "")
	m.does(aptInstall, func() { m.server("/usr/lib/postgresql/15/bin", "15.13") })
	m.says("apt-get update", "")
	return m
}

func TestInstall_DebianStartsNoServer(t *testing.T) {
	m := debian(t)
	m.uid = 0
	m.file("/var/lib/apt/lists/deb_main_Packages.lz4", "", 0o644)
	changes, said, err := installs(t, m)
	if err != nil {
		t.Fatal(err)
	}
	if len(changes) != 2 || !strings.HasPrefix(changes[0], noCluster) || !strings.Contains(changes[0], "create_main_cluster = false") || changes[1] != aptInstall {
		t.Errorf("ran %q; want the setting before the package", changes)
	}
	if !strings.Contains(said, "create_main_cluster = false") || !strings.Contains(said, aptInstall) {
		t.Errorf("did not say what it does: %q", said)
	}
}

func TestInstall_DebianKeepsTheAdministratorsSetting(t *testing.T) {
	for content, kept := range map[string]bool{
		"create_main_cluster = true\n":          true,
		"  create_main_cluster=false\n":         true,
		"#create_main_cluster = true\nssl=on\n": false,
	} {
		m := debian(t)
		m.uid = 0
		m.file("/var/lib/apt/lists/deb_main_Packages", "", 0o644)
		m.file(createCluster, content, 0o644)
		changes, _, err := installs(t, m)
		if err != nil {
			t.Fatal(err)
		}
		wrote := strings.HasPrefix(changes[0], noCluster)
		if wrote == kept {
			t.Errorf("file %q: wrote a setting: %v", content, wrote)
		}
	}
}

func TestInstall_DebianReadsThePackageListsWhenItMust(t *testing.T) {
	m := debian(t)
	m.uid = 0
	changes, _, err := installs(t, m)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"apt-get update", aptInstall}; !slices.Equal(changes[1:], want) {
		t.Errorf("without lists: %q, want %q", changes[1:], want)
	}

	m = debian(t)
	m.uid = 0
	m.file("/var/lib/apt/lists/deb_main_Packages", "", 0o644)
	first := true
	m.answers[aptInstall] = func() (string, error) {
		if first {
			first = false
			return "404", errNoProgram
		}
		m.server("/usr/lib/postgresql/15/bin", "15.13")
		return "", nil
	}
	changes, _, err = installs(t, m)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{aptInstall, "apt-get update", aptInstall}; !slices.Equal(changes[1:], want) {
		t.Errorf("with old lists: %q, want %q", changes[1:], want)
	}
}

func TestInstall_SudoOnlyWithoutAPassword(t *testing.T) {
	m := debian(t)
	m.program("/usr/bin/sudo")
	m.file("/var/lib/apt/lists/deb_main_Packages", "", 0o644)
	m.says("sudo -n true", "")
	m.says("sudo -n sh -c", "")
	m.does("sudo -n "+aptInstall, func() { m.server("/usr/lib/postgresql/15/bin", "15.13") })
	if changes, _, err := installs(t, m); err != nil || changes[len(changes)-1] != "sudo -n "+aptInstall {
		t.Errorf("with sudo: %q, %v", changes, err)
	}

	m = debian(t)
	m.program("/usr/bin/sudo")
	m.fails("sudo -n true")
	if changes, _, err := installs(t, m); !errors.Is(err, ErrNoPermission) || len(changes) > 0 {
		t.Errorf("sudo asks for a password: %q, %v", changes, err)
	}

	m = debian(t)
	if changes, _, err := installs(t, m); !errors.Is(err, ErrNoPermission) || len(changes) > 0 {
		t.Errorf("no sudo: %q, %v", changes, err)
	}
}

func TestInstall_HomebrewIsNeverRunAsRoot(t *testing.T) {
	m := newMachine(t)
	m.uid = 0
	m.program("/usr/local/bin/brew")
	if changes, _, err := installs(t, m); !errors.Is(err, ErrNoPermission) || len(changes) > 0 {
		t.Errorf("root with brew: %q, %v", changes, err)
	}
}

func TestInstall_EnterpriseLinuxChoosesANewerModule(t *testing.T) {
	m := newMachine(t)
	m.uid = 0
	m.program("/usr/bin/dnf")
	m.file("/etc/os-release", "ID=rocky\nPLATFORM_ID=\"platform:el9\"\n", 0o644)
	m.says("dnf module enable", "")
	m.does("dnf install", func() { m.server("/usr/bin", "15.9") })
	changes, _, err := installs(t, m)
	if want := []string{"dnf module enable -y postgresql:15", "dnf install -y postgresql-server"}; err != nil || !slices.Equal(changes, want) {
		t.Errorf("ran %q, %v; want %q", changes, err, want)
	}
}

func TestInstall_TooOldAfterwardsIsAnError(t *testing.T) {
	m := newMachine(t)
	m.uid = 0
	m.program("/usr/bin/apk")
	m.does("apk add postgresql", func() { m.server("/usr/libexec/postgresql14", "14.2") })
	if _, _, err := installs(t, m); !errors.Is(err, ErrNotFound) {
		t.Errorf("an old server satisfied: %v", err)
	}
}

func TestHint_NamesThisSystemsCommand(t *testing.T) {
	for program, want := range map[string]string{
		"/usr/bin/apt-get":       "sudo apt-get install -y postgresql",
		"/usr/bin/dnf":           "sudo dnf install -y postgresql-server",
		"/usr/bin/yum":           "sudo yum install -y postgresql-server",
		"/bin/apk":               "sudo apk add postgresql",
		"/usr/bin/pacman":        "sudo pacman -S --noconfirm postgresql",
		"/usr/bin/zypper":        "sudo zypper --non-interactive install postgresql-server",
		"/usr/local/bin/brew":    "brew install postgresql@17",
		"/usr/local/bin/unknown": "install PostgreSQL 15 or newer (https://www.postgresql.org/download/) and put its programs in PATH",
	} {
		m := newMachine(t)
		m.program(program)
		if got := m.host().Hint(); got != want {
			t.Errorf("%s: %q, want %q", program, got, want)
		}
		m.uid = 0
		if got := m.host().Hint(); strings.Contains(got, "sudo") {
			t.Errorf("%s, as root: %q", program, got)
		}
	}
}
