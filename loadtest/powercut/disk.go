//go:build linux

package powercut

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

const (
	// diskBytes is the size of the disk: sparse, so that only what is written costs
	// space; the broker's streams and Postgres together stay far below it.
	diskBytes = 2 << 30
	// commitSeconds is ext4's own commit interval, 5 s by default: longer than any
	// test, so that nothing reaches the image by luck.
	commitSeconds = 3600
)

// Disk is an ext4 filesystem in a file, mounted at a folder.
type Disk struct {
	image  string
	folder string
	cuts   int
}

// Missing says what this machine lacks for a Disk, nil when it can have one.
func Missing() error {
	if os.Geteuid() != 0 {
		return errors.New("mounting needs root")
	}
	for _, program := range []string{"mkfs.ext4", "mount", "umount"} {
		if _, err := lookSystem(program); err != nil {
			return fmt.Errorf("%s is not installed", program)
		}
	}
	if _, err := os.Stat("/dev/loop-control"); err != nil {
		return fmt.Errorf("no loop devices: %w", err)
	}
	dir, err := os.MkdirTemp("", "powercut-probe")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	d, err := Format(context.Background(), dir)
	if err != nil {
		return fmt.Errorf("no loop mount: %w", err)
	}
	return d.Close()
}

// Format makes a disk of its own in dir, which must exist, and mounts it at dir/disk.
func Format(ctx context.Context, dir string) (*Disk, error) {
	d := &Disk{image: filepath.Join(dir, "image-0"), folder: filepath.Join(dir, "disk")}
	if err := os.MkdirAll(d.folder, 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(d.image, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(f.Truncate(diskBytes), f.Close()); err != nil {
		return nil, err
	}
	// No lazy initialisation: its kernel thread would write behind the test's back.
	if err := system(ctx, "mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", d.image); err != nil {
		return nil, err
	}
	return d, d.mount(ctx)
}

// Folder is where the disk is mounted.
func (d *Disk) Folder() string { return d.folder }

func (d *Disk) mount(ctx context.Context) error {
	return system(ctx, "mount", "-o", fmt.Sprintf("loop,noatime,commit=%d", commitSeconds), d.image, d.folder)
}

// Image copies what is on the disk at this moment, while it stays mounted, and
// keeps the copy for Replace. Whoever writes must stand still (rig.Freeze), or
// the copy is no one moment of it; a frozen writer syncs nothing more.
func (d *Disk) Image(ctx context.Context) error {
	d.cuts++
	from, err := os.Open(d.image)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.OpenFile(d.next(), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(copySparse(ctx, to, from), to.Close())
}

// Replace takes the plugged disk away and mounts the image in its place. No
// process may use the folder any more.
func (d *Disk) Replace(ctx context.Context) error {
	if err := system(ctx, "umount", d.folder); err != nil {
		return err
	}
	if err := os.Remove(d.image); err != nil {
		return err
	}
	d.image = d.next()
	return d.mount(ctx)
}

func (d *Disk) next() string {
	return fmt.Sprintf("%s-%d", strings.TrimSuffix(d.image, filepath.Ext(d.image)), d.cuts)
}

// Close unmounts the disk and removes its files.
func (d *Disk) Close() error {
	ctx := context.Background()
	err := system(ctx, "umount", d.folder)
	if err != nil { // busy: detach it now, the kernel frees it with its last user
		err = errors.Join(err, system(ctx, "umount", "-l", d.folder))
	}
	images, globErr := filepath.Glob(filepath.Join(filepath.Dir(d.image), "image-*"))
	for _, image := range images {
		err = errors.Join(err, os.Remove(image))
	}
	return errors.Join(err, globErr)
}

const (
	seekData = 3 // lseek(2) SEEK_DATA, SEEK_HOLE
	seekHole = 4
)

// copySparse copies only what the file holds, so that a copy of a mostly empty
// disk takes milliseconds, hence is close to one moment.
func copySparse(ctx context.Context, to, from *os.File) error {
	info, err := from.Stat()
	if err != nil {
		return err
	}
	for offset := int64(0); offset < info.Size(); {
		if err := ctx.Err(); err != nil {
			return err
		}
		start, err := from.Seek(offset, seekData)
		if errors.Is(err, syscall.ENXIO) { // only a hole is left
			break
		}
		if err != nil {
			return err
		}
		end, err := from.Seek(start, seekHole)
		if err != nil {
			return err
		}
		part := io.NewSectionReader(from, start, end-start)
		if _, err := io.Copy(io.NewOffsetWriter(to, start), part); err != nil {
			return err
		}
		offset = end
	}
	return to.Truncate(info.Size())
}

// lookSystem finds a system program also where an administrator's PATH has it and
// this one's may not.
func lookSystem(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err == nil {
		return path, nil
	}
	for _, dir := range []string{"/usr/sbin", "/sbin"} {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path, nil
		}
	}
	return "", err
}

func system(ctx context.Context, name string, args ...string) error {
	path, err := lookSystem(name)
	if err != nil {
		return err
	}
	out, err := exec.CommandContext(ctx, path, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
