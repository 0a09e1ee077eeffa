package postgres

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"runtime"

	"golang.org/x/sys/unix"
)

// Setting is one server setting, given on the server's command line.
type Setting struct{ Name, Value string }

// common holds for every cluster of ours.
func common(socketDir string) []Setting {
	s := []Setting{
		{"listen_addresses", ""}, // a socket in a private folder is the whole surface
		{"unix_socket_directories", socketDir},
		{"unix_socket_permissions", "0700"},
		{"timezone", "UTC"},
		{"lc_messages", "C"}, // messages that a person can search for
		{"jit", "off"},       // statements are short: compiling them costs more than it saves
		// No personal data in logs: neither statements nor their parameters, and
		// no DETAIL line, which would quote the failing row.
		{"log_min_error_statement", "panic"},
		{"log_parameter_max_length_on_error", "0"},
		{"log_error_verbosity", "terse"},
		{"log_line_prefix", "%m [%p] "},
	}
	if runtime.GOOS == "darwin" {
		// fsync there returns before the drive's cache is written (fsync(2)).
		s = append(s, Setting{"wal_sync_method", "fsync_writethrough"})
	}
	return s
}

// Disposable are settings for tests: nothing survives a power cut, everything else is true.
var Disposable = []Setting{
	{"fsync", "off"}, {"synchronous_commit", "off"}, {"full_page_writes", "off"},
	{"shared_buffers", "64MB"}, {"max_connections", "200"}, {"autovacuum_naptime", "10s"},
}

// Bounds of what is sized by the machine.
const (
	// buffersShare of the memory goes to shared_buffers: the broker, the roles and
	// the kernel's cache live on the same machine.
	buffersShare      = 8
	buffersMin        = 128 << 20
	buffersMax        = 2 << 30
	walShare          = 20 // of the free disk: the log before a checkpoint
	walBytesMin       = 256 << 20
	walBytesMax       = 4 << 30 // redone after a crash in some ten seconds
	walKeptShare      = 4       // of walBytes stays as recycled files, which cost no allocation
	checkpointMinutes = 10
)

// Ledger are settings for a ledger on a small machine: one writer of large
// transactions that must be on disk when they return, hardly any readers.
func Ledger(ctx context.Context, b Binaries, dir string) []Setting {
	wal := between(walBytesMin, freeBytes(dir)/walShare, walBytesMax)
	s := []Setting{
		{"fsync", "on"}, {"synchronous_commit", "on"}, {"full_page_writes", "on"}, // it is money
		{"shared_buffers", megabytes(between(buffersMin, memoryBytes()/buffersShare, buffersMax))},
		// Checkpoints by time, seldom and spread out: after each one every touched
		// page goes to the log whole, and donation IDs are random, so that a busy
		// index is all touched pages.
		{"checkpoint_timeout", fmt.Sprintf("%dmin", checkpointMinutes)},
		{"checkpoint_completion_target", "0.9"},
		{"max_wal_size", megabytes(wal)},
		{"min_wal_size", megabytes(wal / walKeptShare)},
		// Recording is one COPY and a few statements per batch: what a batch sorts
		// and joins fits, and stays out of temporary files.
		{"work_mem", "16MB"},
		// Slot rows change many times a second: they are cleaned before they grow,
		// and often is cheap because there are few.
		{"autovacuum_naptime", "10s"},
		{"max_connections", "100"},
		{"max_wal_senders", "4"}, // a base backup takes two, nothing else reads the log
		{"log_checkpoints", "on"},
		// A waiting lock is worth a line: nothing here should hold one for long.
		{"log_lock_waits", "on"},
	}
	if c := walCompression(ctx, b); c != "" {
		s = append(s, Setting{"wal_compression", c}) // those whole pages: a third of the size for little CPU
	}
	return s
}

// walCompression is lz4 where the server was built with it; the server's own pglz
// costs more CPU than a small machine has to spare.
func walCompression(ctx context.Context, b Binaries) string {
	cmd := exec.CommandContext(ctx, b.Program("pg_config"), "--configure")
	cmd.Env = childEnvironment()
	out, err := cmd.Output()
	if err == nil && bytes.Contains(out, []byte("--with-lz4")) {
		return "lz4"
	}
	return ""
}

func between(least, value, most int64) int64 { return max(least, min(value, most)) }

func megabytes(bytes int64) string { return fmt.Sprintf("%dMB", bytes>>20) }

// freeBytes is the room on dir's disk, 0 when nobody says.
func freeBytes(dir string) int64 {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0
	}
	return int64(st.Bavail) * int64(st.Bsize)
}
