// Package postgres finds, installs, starts and supervises the private Postgres
// of `spillway up` and of the tests: a cluster in a folder of ours, run as a
// child process that listens on a unix socket in a folder nobody else can enter.
//
// The one invariant: at most one postmaster runs on a data folder, and none
// outlives its purpose: it ends with Stop, with the death of this process (on
// Linux by the kernel's signal, elsewhere at the next start), and a start finds
// and ends what an earlier process left behind before it begins.
//
// Goroutines: supervise, started by Start, ended by Stop; it owns the child and
// stays on one OS thread, because the kernel delivers the parent-death signal
// when the thread that forked ends (golang/go#27505).
package postgres
