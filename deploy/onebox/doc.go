// Package onebox is what `spillway up` adds so that one machine is enough: the
// data folder, the embedded broker and, in postgres, the private database. The
// roles reach both through the very same code paths as real servers.
//
// The one invariant: everything is written below the data folder, by one process
// at a time, and the broker has every message on disk before it acknowledges it.
package onebox
