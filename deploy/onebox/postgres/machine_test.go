package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// machine is a made-up computer: a folder as its file system, programs that
// answer by a table, and a record of every command that was run.
type machine struct {
	t    *testing.T
	root string
	env  map[string]string
	uid  int
	ran  []string
	// answers maps the beginning of a command line to what it does.
	answers map[string]func() (string, error)
}

func newMachine(t *testing.T) *machine {
	return &machine{t: t, root: t.TempDir(), uid: 1000,
		env: map[string]string{"PATH": "/usr/local/bin:/usr/bin:/bin"}, answers: map[string]func() (string, error){}}
}

func (m *machine) host() *Host {
	return &Host{OS: "linux", Root: m.root, UID: m.uid, Getenv: func(k string) string { return m.env[k] }, Run: m.run}
}

var errNoProgram = errors.New("no such program")

func (m *machine) run(_ context.Context, out io.Writer, argv ...string) error {
	line := strings.Join(argv, " ")
	m.ran = append(m.ran, line)
	best := ""
	for prefix := range m.answers {
		if strings.HasPrefix(line, prefix) && len(prefix) > len(best) {
			best = prefix
		}
	}
	if best == "" {
		return fmt.Errorf("%s: %w", line, errNoProgram)
	}
	text, err := m.answers[best]()
	fmt.Fprint(out, text)
	return err
}

// file writes a file of the machine.
func (m *machine) file(path, content string, mode os.FileMode) {
	m.t.Helper()
	p := filepath.Join(m.root, path)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(p, []byte(content), mode); err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) program(path string) { m.file(path, "", 0o755) }

// link makes a link in the machine; links there are relative, because its root is
// not the real one.
func (m *machine) link(path, target string) {
	m.t.Helper()
	p := filepath.Join(m.root, path)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		m.t.Fatal(err)
	}
	rel, err := filepath.Rel(filepath.Dir(path), target)
	if err != nil {
		m.t.Fatal(err)
	}
	if err := os.Symlink(rel, p); err != nil {
		m.t.Fatal(err)
	}
}

// server installs a server of a version in dir.
func (m *machine) server(dir, version string) {
	m.program(dir + "/postgres")
	m.program(dir + "/initdb")
	m.says(dir+"/postgres --version", "postgres (PostgreSQL) "+version+"\n")
}

// says makes a command succeed.
func (m *machine) says(command, output string) {
	m.answers[command] = func() (string, error) { return output, nil }
}

// fails makes a command fail.
func (m *machine) fails(command string) {
	m.answers[command] = func() (string, error) { return "", errNoProgram }
}

// does makes a command change the machine.
func (m *machine) does(command string, effect func()) {
	m.answers[command] = func() (string, error) { effect(); return "", nil }
}
