package postgres

import "runtime"

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
