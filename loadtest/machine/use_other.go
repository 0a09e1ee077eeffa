//go:build !linux

package machine

import (
	"errors"
	"time"
)

// errAbsent says that nobody wrote this for the system at hand.
var errAbsent = errors.New("processes are measured on Linux only")

// Of knows nothing here.
func Of(Role) (Use, error) { return Use{}, errAbsent }

// Busy knows nothing here.
func Busy() (busy time.Duration, ok bool) { return 0, false }

// memory is not known here.
func memory() int64 { return 0 }
