//go:build linux

package powercut

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// plugged returns a mounted disk that goes with the test.
func plugged(t *testing.T) *Disk {
	t.Helper()
	if err := Missing(); err != nil {
		t.Skipf("no power cut on this machine: %v", err)
	}
	d, err := Format(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// The control of every other test here: an image taken while mounted keeps what
// was synced, file by file and byte by byte, and drops what was not.
func TestDisk_ImageKeepsTheSyncedAndDropsTheRest(t *testing.T) {
	d := plugged(t)
	content := bytes.Repeat([]byte("donation"), 20_000) // more than a page, more than a block group's first blocks
	path := func(name string) string { return filepath.Join(d.Folder(), name) }

	for _, name := range []string{"synced", "grown", "overwritten"} {
		write(t, path(name), content, os.O_CREATE|os.O_WRONLY, true)
	}
	syncFolder(t, d.Folder())
	write(t, path("grown"), content, os.O_APPEND|os.O_WRONLY, false)
	write(t, path("overwritten"), bytes.Repeat([]byte("unsynced"), 20_000), os.O_WRONLY, false)
	write(t, path("new"), content, os.O_CREATE|os.O_WRONLY, false)

	if err := d.Image(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(path("new")); err != nil || !bytes.Equal(got, content) {
		t.Fatalf("before the cut the unsynced file is readable, as a page cache promises: %d bytes, %v", len(got), err)
	}
	if err := d.Replace(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"synced", "grown", "overwritten"} {
		got, err := os.ReadFile(path(name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, content) {
			t.Errorf("%s: %d bytes after the cut, want the %d synced ones and no others", name, len(got), len(content))
		}
	}
	if _, err := os.Stat(path("new")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file that was never synced survived the cut (%v): images prove nothing here", err)
	}
}

// A second cut of the same disk works on the first one's outcome.
func TestDisk_CutsFollowEachOther(t *testing.T) {
	d := plugged(t)
	for _, name := range []string{"first", "second"} {
		write(t, filepath.Join(d.Folder(), name), []byte(name), os.O_CREATE|os.O_WRONLY, true)
		syncFolder(t, d.Folder())
		if err := d.Image(t.Context()); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(d.Folder(), name+"-late"), []byte(name), os.O_CREATE|os.O_WRONLY, true)
		if err := d.Replace(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]bool{"first": true, "second": true, "first-late": false, "second-late": false} {
		if _, err := os.Stat(filepath.Join(d.Folder(), name)); (err == nil) != want {
			t.Errorf("%s: there %v, want %v", name, err == nil, want)
		}
	}
}

func write(t *testing.T, path string, content []byte, flags int, sync bool) {
	t.Helper()
	f, err := os.OpenFile(path, flags, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(content); err != nil {
		t.Fatal(err)
	}
	if sync {
		if err := f.Sync(); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func syncFolder(t *testing.T, path string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
}
