package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// MajorMin is the oldest Postgres that Spillway runs on: 15 brought MERGE,
// NULLS NOT DISTINCT and LZ4 WAL compression, and Debian 12 has it.
const MajorMin = 15

// versionTimeout bounds one `postgres --version` or `pg_config --bindir`: they
// take milliseconds, and a hung network mount must not hang the start.
const versionTimeout = 5 * time.Second

// ErrNotFound says that no usable Postgres is installed.
var ErrNotFound = errors.New("no usable PostgreSQL found, 15 or newer is needed")

// Binaries is an installed Postgres server.
type Binaries struct {
	Dir     string // holds initdb and postgres
	Major   int
	Version string // as the server says it, for example "15.13"
}

// Program is the path of one of the programs: in Dir, or, where Dir only links to the
// server, beside the server itself.
func (b Binaries) Program(name string) string {
	path := filepath.Join(b.Dir, name)
	if _, err := os.Stat(path); err == nil {
		return path
	}
	if server, err := filepath.EvalSymlinks(filepath.Join(b.Dir, "postgres")); err == nil {
		return filepath.Join(filepath.Dir(server), name)
	}
	return path
}

// Find looks for the newest Postgres of at least MajorMin: in explicit when it
// is given, and then nowhere else, otherwise in PATH (links resolved), where
// pg_config points, and in the places of Debian, Red Hat, Homebrew and
// Postgres.app.
//
// major, when not 0, is the only version that will do: that of an existing
// cluster, which no other can open (see ClusterMajor).
//
// Errors: ErrNotFound, which names what was seen and does not fit.
func (h *Host) Find(ctx context.Context, explicit string, major int) (Binaries, error) {
	dirs := h.candidates(ctx)
	if explicit != "" {
		dirs = []string{explicit}
	}
	var best Binaries
	var seen []string
	tried := make(map[string]bool)
	for _, dir := range dirs {
		if tried[dir] {
			continue
		}
		tried[dir] = true
		b, err := h.inspect(ctx, dir)
		if err != nil {
			if explicit != "" {
				return Binaries{}, fmt.Errorf("%w: %w", ErrNotFound, err)
			}
			continue
		}
		if b.Major < MajorMin || major != 0 && b.Major != major {
			seen = append(seen, fmt.Sprintf("%s is %s", b.Dir, b.Version))
			continue
		}
		if b.Major > best.Major {
			best = b
		}
	}
	switch {
	case best.Major > 0:
		return best, nil
	case major != 0:
		return Binaries{}, fmt.Errorf("%w: the data folder was made by version %d and opens with no other (seen: %s)",
			ErrNotFound, major, strings.Join(seen, ", "))
	case len(seen) > 0:
		return Binaries{}, fmt.Errorf("%w (too old: %s)", ErrNotFound, strings.Join(seen, ", "))
	}
	return Binaries{}, ErrNotFound
}

// candidates lists folders that may hold a server, most explicit first.
func (h *Host) candidates(ctx context.Context) []string {
	var dirs []string
	for _, program := range []string{"postgres", "initdb", "pg_ctl"} {
		if p, ok := h.lookPath(program); ok {
			dirs = append(dirs, filepath.Dir(p))
			if real, err := filepath.EvalSymlinks(h.path(p)); err == nil {
				dirs = append(dirs, filepath.Dir(h.unrooted(real)))
			}
		}
	}
	if p, ok := h.lookPath("pg_config"); ok {
		if out, err := h.output(ctx, p, "--bindir"); err == nil {
			// Debian's libpq-dev points at a folder that may hold no server; inspect decides.
			dirs = append(dirs, strings.TrimSpace(out))
		}
	}
	for _, pattern := range []string{
		"/usr/lib/postgresql/*/bin",                          // Debian, Ubuntu
		"/usr/pgsql-*/bin",                                   // Red Hat, packages of postgresql.org
		"/usr/bin",                                           // Red Hat's own, Arch
		"/usr/libexec/postgresql*",                           // Alpine
		"/usr/lib/postgresql*/bin",                           // SUSE
		"/opt/homebrew/opt/postgresql*/bin",                  // Homebrew on Apple silicon
		"/usr/local/opt/postgresql*/bin",                     // Homebrew on Intel
		"/home/linuxbrew/.linuxbrew/opt/postgresql*/bin",     // Homebrew on Linux
		"/Applications/Postgres.app/Contents/Versions/*/bin", // Postgres.app
		"/usr/local/pgsql/bin",                               // built from source
		"/Library/PostgreSQL/*/bin",                          // EDB's installer
	} {
		dirs = append(dirs, h.glob(pattern)...)
	}
	return dirs
}

// versionPattern reads "postgres (PostgreSQL) 15.13 (Debian 15.13-0+deb12u1)" and "... 17beta1".
var versionPattern = regexp.MustCompile(`\(PostgreSQL\) (([0-9]+)[^ \n]*)`)

// inspect tells what server dir holds, whatever its version.
func (h *Host) inspect(ctx context.Context, dir string) (Binaries, error) {
	for _, program := range []string{"initdb", "postgres"} {
		if !h.executable(filepath.Join(dir, program)) {
			return Binaries{}, fmt.Errorf("%s holds no %s", dir, program)
		}
	}
	out, err := h.output(ctx, filepath.Join(dir, "postgres"), "--version")
	if err != nil {
		return Binaries{}, fmt.Errorf("%s/postgres --version: %w", dir, err)
	}
	m := versionPattern.FindStringSubmatch(out)
	if m == nil {
		return Binaries{}, fmt.Errorf("%s/postgres --version says %q", dir, out)
	}
	major, err := strconv.Atoi(m[2])
	if err != nil {
		return Binaries{}, fmt.Errorf("%s/postgres --version says %q", dir, out)
	}
	return Binaries{Dir: dir, Major: major, Version: m[1]}, nil
}

func (h *Host) output(ctx context.Context, argv ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, versionTimeout)
	defer cancel()
	var out bytes.Buffer
	err := h.Run(ctx, &out, argv...)
	return out.String(), err
}
