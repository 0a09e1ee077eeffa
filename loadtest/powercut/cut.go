//go:build linux

package powercut

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"spillway/loadtest/chaos"
	"spillway/loadtest/rig"
)

// The load of a cut, small enough for any disk that syncs.
const (
	ratePerSecond = 500
	loadLasts     = 15 * time.Second
	// acceptedBefore lets the ledger record something first, so that the audit
	// meets donations on both sides of the cut.
	acceptedBefore = 1000
	// acceptedAlone are acknowledged while the database stands still: only the
	// broker has them, and only its own syncs bring them through the cut. The
	// database's syncs would otherwise flush the filesystem's journal for both.
	acceptedAlone = 1500
)

// machine is a rig whose `up` keeps its data on a disk of its own.
type machine struct {
	rig  *rig.Rig
	disk *Disk
	dir  string
}

func newMachine(ctx context.Context, programs rig.Programs) (*machine, error) {
	r, err := rig.New(programs)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "spillway-disk-")
	if err != nil {
		return nil, errors.Join(err, r.Close(false))
	}
	m := &machine{rig: r, dir: dir}
	// The database's own user must get through to its folder.
	if err = os.Chmod(dir, 0o711); err == nil {
		m.disk, err = Format(ctx, dir)
	}
	if err != nil {
		return nil, errors.Join(err, m.close())
	}
	r.DataDir = filepath.Join(m.disk.Folder(), "data")
	return m, nil
}

// close ends whatever runs, takes the disk away and removes everything.
func (m *machine) close() error {
	err := m.rig.Close(false) // first: what runs keeps the disk busy
	if m.disk != nil {
		err = errors.Join(err, m.disk.Close())
	}
	return errors.Join(err, os.RemoveAll(m.dir))
}

// Cut starts `up` on a disk of its own, pulls the plug in the middle of a load,
// plugs in what was synced, starts `up` again, and lets the rehearsal that went on
// all the time audit the whole. An outcome that does not hold is not an error.
func Cut(ctx context.Context, programs rig.Programs, logf func(string, ...any)) (verdict *chaos.Verdict, err error) {
	m, err := newMachine(ctx, programs)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, m.close()) }()
	if err := m.rig.StartUp(ctx); err != nil {
		return nil, err
	}
	rehearsal, err := chaos.Rehearse(m.rig, "powercut", chaos.Load{RatePerSecond: ratePerSecond, For: loadLasts})
	if err != nil {
		return nil, err
	}
	if err := rehearsal.AwaitAccepted(ctx, acceptedBefore); err != nil {
		return nil, err
	}
	logf("freezing the database")
	if err := freeze(filepath.Join(m.rig.DataDir, "postgres"), rehearsal); err != nil {
		return nil, err
	}
	if err := rehearsal.AwaitAccepted(ctx, acceptedAlone); err != nil {
		return nil, err
	}
	logf("pulling the plug")
	if err := pull(ctx, m.disk, rehearsal); err != nil {
		return nil, err
	}
	logf("starting on what was synced")
	if err := m.rig.StartUp(ctx); err != nil {
		return nil, fmt.Errorf("after the cut: %w", err)
	}
	return rehearsal.Wait(ctx)
}

// pull stops every process on the disk in one moment, keeps what was synced by
// then, and puts it in the disk's place.
func pull(ctx context.Context, disk *Disk, rehearsal *chaos.Rehearsal) error {
	if err := freeze(disk.Folder(), rehearsal); err != nil {
		return err
	}
	if err := disk.Image(ctx); err != nil {
		return err
	}
	family, err := onDisk(disk.Folder(), rehearsal)
	if err != nil {
		return err
	}
	if err := rig.KillAll(family...); err != nil {
		return err
	}
	return disk.Replace(ctx)
}

func freeze(dir string, rehearsal *chaos.Rehearsal) error {
	family, err := onDisk(dir, rehearsal)
	if err != nil {
		return err
	}
	return rig.Freeze(family...)
}

// onDisk lists the service's processes: the generator names the folder too, and is
// a donor's machine that has power.
func onDisk(dir string, rehearsal *chaos.Rehearsal) ([]int, error) {
	family, err := rig.Family(dir)
	return slices.DeleteFunc(family, func(pid int) bool { return pid == rehearsal.Process().PID() }), err
}
