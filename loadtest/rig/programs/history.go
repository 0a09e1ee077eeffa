package programs

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Version is a commit of this repository whose roles may still run beside today's.
type Version struct {
	Name   string // what came with it, in a word
	Commit string // in full
	// Charges tells that it has payments, Console that it has the organisers' console.
	Charges, Console bool
	// Events tells that its payments read several of the processor's events in one message.
	Events bool
}

// Neighbours are the versions that today's roles are held against, oldest first: the
// last commit of each great step. When a step is complete its last commit is added; none
// is ever taken away while somebody may run it.
func Neighbours() []Version {
	return []Version{
		{Name: "donations", Commit: "4346c6384730826fe9a740c8efb270e5a985ad23"},
		{Name: "payments", Commit: "723260b4a1a35ac254ec66cea47f30a68ec9b8b2", Charges: true},
		{Name: "console", Commit: "e9418a9108fbfe0a5e9a3c9178e1d166ac82f201", Charges: true, Console: true, Events: true},
		{Name: "rehearsal", Commit: "ad2744b13141490da9147cf9b9612fb59286461e", Charges: true, Console: true, Events: true},
	}
}

// ErrNoHistory says that the tree does not come with the commit: it is no clone, or a
// shallow one.
var ErrNoHistory = errors.New("the history is not here: needs a full clone and git")

// Has returns nil when the tree's repository has the commit. Errors: ErrNoHistory.
func (v Version) Has(ctx context.Context, tree string) error {
	if _, err := git(ctx, tree, "cat-file", "-e", v.Commit+"^{commit}"); err != nil {
		return fmt.Errorf("%w (version %s, %.7s: %w)", ErrNoHistory, v.Name, v.Commit, err)
	}
	return nil
}

// Changed lists the files of the version that are other in the tree now, or gone, of
// those that the patterns name (gitglossary, pathspec).
func (v Version) Changed(ctx context.Context, tree string, patterns ...string) ([]string, error) {
	out, err := git(ctx, tree, append([]string{"diff", "--no-ext-diff", "--no-renames", "--name-only", "-z", "--diff-filter=a", v.Commit, "--"}, patterns...)...)
	if err != nil || len(out) == 0 {
		return nil, err
	}
	return strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00"), nil
}

// Read returns one of the version's files, by its path from the top of the tree.
func (v Version) Read(ctx context.Context, tree, path string) ([]byte, error) {
	return git(ctx, tree, "cat-file", "blob", v.Commit+":"+path)
}

// Build builds the version's program into dir, from its files in dir. The repository and
// its work tree are only read. Errors: ErrNoHistory; whatever the go command says.
func (v Version) Build(ctx context.Context, tree, dir string) (program string, err error) {
	if err := v.Has(ctx, tree); err != nil {
		return "", err
	}
	archive, err := git(ctx, tree, "archive", "--format=tar", v.Commit)
	if err != nil {
		return "", err
	}
	source := filepath.Join(dir, "source-"+v.Name)
	if err := unpack(archive, source); err != nil {
		return "", fmt.Errorf("unpack version %s: %w", v.Name, err)
	}
	return build(ctx, source, filepath.Join(dir, "spillway-"+v.Name), "./cmd/spillway", "-buildvcs=false")
}

// git runs a command that only reads, whoever owns the checkout.
func git(ctx context.Context, tree string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "git", append([]string{"-c", "safe.directory=*", "-C", tree}, args...)...)
	var wrong bytes.Buffer
	cmd.Stderr = &wrong
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("git %s: %w: %s", args[0], err, bytes.TrimSpace(wrong.Bytes()))
	}
	return out, nil
}

// unpack writes an archive of folders and plain files, which is what a commit is here.
func unpack(archive []byte, dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	for entries := tar.NewReader(bytes.NewReader(archive)); ; {
		entry, err := entries.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case entry.Typeflag == tar.TypeDir:
			err = root.MkdirAll(filepath.Clean(entry.Name), 0o755)
		case entry.Typeflag == tar.TypeReg:
			err = writeFile(root, entry.Name, entries)
		}
		if err != nil {
			return err
		}
	}
}

func writeFile(root *os.Root, name string, content io.Reader) error {
	file, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, content)
	return errors.Join(err, file.Close())
}
