package charge

import (
	"math/rand/v2"
	"time"
)

// jittered is d, give or take a fifth: what was put off together comes back apart.
func jittered(d time.Duration) time.Duration {
	if d < 5 {
		return d
	}
	return d - d/5 + rand.N(2*d/5)
}
