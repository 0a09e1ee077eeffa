package main

import (
	"fmt"
	"syscall"

	readapi "spillway/campaigns/httpapi"
)

const (
	// filesOwn are what a front-end holds besides its viewers: donors' connections,
	// the broker's, Postgres', files.
	filesOwn = 4 << 10
	// filesLeast is what no process here does with less than.
	filesLeast = 1 << 10
	// filesWanted lets as many watch as a front-end takes.
	filesWanted = readapi.ViewersMax + filesOwn
)

// openFiles raises this process's limit of open files as far as the system lets it,
// and tells where it stands: each donor and each viewer takes one.
func openFiles() (limit int, err error) {
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		return 0, fmt.Errorf("limit of open files: %w", err)
	}
	if files.Cur < files.Max {
		raised := syscall.Rlimit{Cur: files.Max, Max: files.Max}
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &raised); err == nil {
			files = raised
		} // else it stands where it was: macOS has another limit above this one
	}
	limit = int(min(files.Cur, 1<<20))
	if limit < filesLeast {
		return limit, fmt.Errorf("this process may open %d files, and needs %d at least; raise the limit: ulimit -n %d, or LimitNOFILE=%d for a systemd unit",
			limit, filesLeast, filesWanted, filesWanted)
	}
	return limit, nil
}

// viewersWith is how many viewers a front-end takes with so many files: never so many
// that donors find no place.
func viewersWith(files int) int {
	return min(readapi.ViewersMax, max(files-filesOwn, files/2))
}

// fewFiles says what to do when fewer than the usual number may watch, "" when all may.
func fewFiles(files int) string {
	if files >= filesWanted {
		return ""
	}
	return fmt.Sprintf("%d viewers at the same time at most, for this process may open %d files only; for more: ulimit -n %d, or LimitNOFILE=%d for a systemd unit",
		viewersWith(files), files, filesWanted, filesWanted)
}
