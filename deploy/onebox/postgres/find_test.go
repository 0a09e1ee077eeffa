package postgres

import (
	"errors"
	"strings"
	"testing"
)

func TestFind_Places(t *testing.T) {
	for name, c := range map[string]struct {
		install func(m *machine)
		want    string
		version string
	}{
		"path": {func(m *machine) { m.server("/usr/local/bin", "16.2") }, "/usr/local/bin", "16.2"},
		"links in path": {func(m *machine) {
			m.server("/srv/pg/bin", "15.13 (Debian 15.13-0+deb12u1)")
			m.link("/usr/local/bin/postgres", "/srv/pg/bin/postgres")
		}, "/srv/pg/bin", "15.13"},
		"pg_config": {func(m *machine) {
			m.program("/usr/bin/pg_config")
			m.says("/usr/bin/pg_config --bindir", "/srv/pg17/bin\n")
			m.server("/srv/pg17/bin", "17.1")
		}, "/srv/pg17/bin", "17.1"},
		"debian":      {func(m *machine) { m.server("/usr/lib/postgresql/15/bin", "15.13") }, "/usr/lib/postgresql/15/bin", "15.13"},
		"red hat":     {func(m *machine) { m.server("/usr/pgsql-16/bin", "16.4") }, "/usr/pgsql-16/bin", "16.4"},
		"red hat own": {func(m *machine) { m.env["PATH"] = "/bin"; m.server("/usr/bin", "16.4") }, "/usr/bin", "16.4"},
		"alpine":      {func(m *machine) { m.server("/usr/libexec/postgresql17", "17.2") }, "/usr/libexec/postgresql17", "17.2"},
		"suse":        {func(m *machine) { m.server("/usr/lib/postgresql16/bin", "16.1") }, "/usr/lib/postgresql16/bin", "16.1"},
		"homebrew on apple silicon": {func(m *machine) { m.server("/opt/homebrew/opt/postgresql@17/bin", "17.5 (Homebrew)") },
			"/opt/homebrew/opt/postgresql@17/bin", "17.5"},
		"homebrew on intel": {func(m *machine) { m.server("/usr/local/opt/postgresql@16/bin", "16.9") }, "/usr/local/opt/postgresql@16/bin", "16.9"},
		"postgres.app": {func(m *machine) {
			m.server("/Applications/Postgres.app/Contents/Versions/18/bin", "18.0 (Postgres.app)")
		},
			"/Applications/Postgres.app/Contents/Versions/18/bin", "18.0"},
		"the highest wins, not the last name": {func(m *machine) {
			m.server("/usr/lib/postgresql/9.6/bin", "9.6.24")
			m.server("/usr/lib/postgresql/15/bin", "15.13")
			m.server("/usr/lib/postgresql/100/bin", "100.1")
		}, "/usr/lib/postgresql/100/bin", "100.1"},
		"a client without a server is passed over": {func(m *machine) {
			m.program("/usr/bin/pg_config")
			m.says("/usr/bin/pg_config --bindir", "/usr/lib/postgresql/17/bin\n")
			m.program("/usr/lib/postgresql/17/bin/psql")
			m.server("/usr/lib/postgresql/15/bin", "15.13")
		}, "/usr/lib/postgresql/15/bin", "15.13"},
		"one that does not run is passed over": {func(m *machine) {
			m.server("/usr/lib/postgresql/17/bin", "17.0")
			m.fails("/usr/lib/postgresql/17/bin/postgres --version")
			m.server("/usr/lib/postgresql/15/bin", "15.13")
		}, "/usr/lib/postgresql/15/bin", "15.13"},
		"a beta counts": {func(m *machine) { m.server("/usr/lib/postgresql/19/bin", "19beta1 (Debian 19~beta1-1)") }, "/usr/lib/postgresql/19/bin", "19beta1"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			c.install(m)
			b, err := m.host().Find(t.Context(), "", 0)
			if err != nil {
				t.Fatal(err)
			}
			if b.Dir != c.want || b.Version != c.version {
				t.Errorf("found %s (%s), want %s (%s)", b.Dir, b.Version, c.want, c.version)
			}
		})
	}
}

func TestFind_NothingOrTooOld(t *testing.T) {
	m := newMachine(t)
	if _, err := m.host().Find(t.Context(), "", 0); !errors.Is(err, ErrNotFound) {
		t.Errorf("empty machine: %v", err)
	}
	m.server("/usr/lib/postgresql/14/bin", "14.9")
	_, err := m.host().Find(t.Context(), "", 0)
	if !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "14.9") {
		t.Errorf("an old one should be named: %v", err)
	}
}

func TestFind_ExplicitIsTheOnlyPlace(t *testing.T) {
	m := newMachine(t)
	m.server("/usr/lib/postgresql/17/bin", "17.0")
	m.server("/srv/pg/bin", "15.1")
	b, err := m.host().Find(t.Context(), "/srv/pg/bin", 0)
	if err != nil || b.Dir != "/srv/pg/bin" {
		t.Errorf("found %v, %v", b, err)
	}
	if _, err := m.host().Find(t.Context(), "/srv/empty", 0); !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "/srv/empty") {
		t.Errorf("explicit folder without a server: %v", err)
	}
}

func TestFind_ARelativePathEntryIsIgnored(t *testing.T) {
	m := newMachine(t)
	m.env["PATH"] = ".:tools"
	m.server("/tools", "17.0")
	if _, err := m.host().Find(t.Context(), "", 0); !errors.Is(err, ErrNotFound) {
		t.Errorf("a server in the working folder was taken: %v", err)
	}
}

func TestFind_AnExistingClusterNeedsItsOwnVersion(t *testing.T) {
	m := newMachine(t)
	m.server("/usr/lib/postgresql/15/bin", "15.13")
	m.server("/usr/lib/postgresql/17/bin", "17.0")
	if b, err := m.host().Find(t.Context(), "", 15); err != nil || b.Major != 15 {
		t.Errorf("cluster of 15: found %v, %v", b, err)
	}
	_, err := m.host().Find(t.Context(), "", 16)
	if !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "16") || !strings.Contains(err.Error(), "17.0") {
		t.Errorf("cluster of 16: %v", err)
	}
}
