// Package powercut pulls the plug: a filesystem of its own in a file, whose image
// taken while it is mounted holds what was synced and lacks the rest.
//
// The one invariant: a donation that was acknowledged before the cut is there
// after it; a broker that does not sync before it acknowledges is found out.
//
// It needs Linux, root, loop devices and mkfs.ext4; without them its tests skip
// and say what is missing.
package powercut
