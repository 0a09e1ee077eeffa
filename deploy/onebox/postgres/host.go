package postgres

import (
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

// Host is what the finder and the installer see of a machine. The zero value is
// not usable; ThisHost is the real one, tests build one on a folder and a
// recorder of commands.
type Host struct {
	// OS is a GOOS value.
	OS string
	// Root is put in front of every absolute path: "" on the real machine.
	Root string
	// UID is the effective user.
	UID int
	// Getenv reads the environment.
	Getenv func(string) string
	// Run runs a command to its end, with its output going to out. A command that
	// is not there is an error like any other.
	Run func(ctx context.Context, out io.Writer, argv ...string) error
}

// ThisHost is the machine that this process runs on.
func ThisHost() *Host {
	return &Host{OS: runtime.GOOS, UID: os.Geteuid(), Getenv: os.Getenv, Run: run}
}

func run(ctx context.Context, out io.Writer, argv ...string) error {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = out, out
	return cmd.Run()
}

// path is where p lies on the real file system.
func (h *Host) path(p string) string { return filepath.Join("/", h.Root, p) }

// unrooted is the inverse of path.
func (h *Host) unrooted(p string) string {
	if h.Root == "" {
		return p
	}
	rel, err := filepath.Rel(h.path("/"), p)
	if err != nil {
		return p
	}
	return filepath.Join("/", rel)
}

// executable tells whether p is a file that somebody may execute.
func (h *Host) executable(p string) bool {
	fi, err := os.Stat(h.path(p))
	return err == nil && fi.Mode().IsRegular() && fi.Mode()&0o111 != 0
}

// glob lists the paths that match, in the order of their names.
func (h *Host) glob(pattern string) []string {
	found, err := filepath.Glob(h.path(pattern))
	if err != nil {
		return nil
	}
	for i := range found {
		found[i] = h.unrooted(found[i])
	}
	return found
}

// lookPath finds a program in PATH.
func (h *Host) lookPath(name string) (string, bool) {
	for _, dir := range filepath.SplitList(h.Getenv("PATH")) {
		if !filepath.IsAbs(dir) {
			continue // a program from the working folder is nobody's installed Postgres
		}
		if p := filepath.Join(dir, name); h.executable(p) {
			return p, true
		}
	}
	return "", false
}
