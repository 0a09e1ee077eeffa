//go:build linux

package chaos

import (
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	"spillway/loadtest/trace"
)

// Load is what a rehearsal offers: a real event's file, or a steady rate.
type Load struct {
	RatePerSecond int           // gifts a second, when File is empty
	For           time.Duration // how long, when File is empty
	File          string        // CSV or CSV.gz of a real event
	Speed         float64       // how many times faster than the event
}

// String says what the load is.
func (l Load) String() string {
	if l.File != "" {
		return fmt.Sprintf("%s at %g times its speed", filepath.Base(l.File), l.Speed)
	}
	return fmt.Sprintf("%d/s for %v", l.RatePerSecond, l.For)
}

// Gifts is how many gifts the load has.
func (l Load) Gifts() (int64, error) {
	if l.File == "" {
		return int64(float64(l.RatePerSecond) * l.For.Seconds()), nil
	}
	file, err := trace.Scan(l.File, trace.Options{Speed: l.Speed})
	if err != nil {
		return 0, err
	}
	return file.Rows(), nil
}

func (l Load) args() []string {
	if l.File != "" {
		return []string{"--replay", l.File, "--speed", strconv.FormatFloat(l.Speed, 'f', -1, 64)}
	}
	return []string{"--rate", strconv.Itoa(l.RatePerSecond), "--for", l.For.String()}
}
