// Package programs builds what a rig runs, for tests: the product from its own source
// tree, with or without edits, and a stock broker.
//
// The one invariant: what is built is what the tree says, so that a test of a rig is a
// test of the code beside it.
package programs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Tree is the top of the module: the nearest folder above the working one with a go.mod.
func Tree() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", errors.New("no go.mod above the working folder")
		}
		dir = up
	}
}

// BuildSpillway builds the product into dir, with flags for the go command (an
// overlay, the race detector).
func BuildSpillway(ctx context.Context, tree, dir string, flags ...string) (string, error) {
	return build(ctx, tree, filepath.Join(dir, "spillway"), "./cmd/spillway", flags...)
}

// BuildNATSServer builds a real broker, of the version in go.mod, into dir.
func BuildNATSServer(ctx context.Context, tree, dir string) (string, error) {
	return build(ctx, tree, filepath.Join(dir, "nats-server"), "github.com/nats-io/nats-server/v2")
}

func build(ctx context.Context, tree, program, pkg string, flags ...string) (string, error) {
	args := append([]string{"build", "-o", program}, flags...)
	cmd := exec.CommandContext(ctx, "go", append(args, pkg)...)
	cmd.Dir = tree
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build %s: %w: %s", pkg, err, strings.TrimSpace(string(out)))
	}
	return program, nil
}
