// Package rig runs an installation of its own as processes: every role, a broker and a
// Postgres, in one folder, to be killed, paused, stopped and cut off.
//
// The one invariant: it touches no process that it did not start, and none of those
// outlives the one that made the rig.
//
// It needs Linux: families of processes and freezes are read from /proc.
//
// Goroutines: one for each process, which waits for its end; one that starts them all
// and lives as long as this process, because the kernel ends children with the thread
// that made them; those of the wires, ended by Close.
package rig
