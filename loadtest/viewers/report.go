package viewers

import (
	"cmp"
	"fmt"
	"io"
	"slices"
)

// Pair is donors without viewers and, next to it in time, with them.
type Pair struct {
	Without  Given `json:"without"`
	With     Given `json:"with"`
	Seen     Seen  `json:"seen"`
	PerView  int64 `json:"bytes_per_viewer"`          // of the server, heap and stacks in use
	Resident int64 `json:"resident_bytes_per_viewer"` // of the server, as the system counts
}

// Report is a whole measurement.
type Report struct {
	Viewers   int    `json:"viewers"`
	PerSecond int    `json:"donations_per_second"`
	Pairs     []Pair `json:"pairs"`
}

// The bars.
const (
	AgeMost       = 1_000     // ms at p99
	BytesMost     = 25 * 1024 // per viewer
	SlowerPartMax = 0.5       // of the donate p99 without viewers
	SlowerMsMax   = 5.0       // or so many milliseconds
	RateLeast     = 0.98      // of the rate that was to arrive
)

// median is of an odd number of pairs the middle one's.
func median[T cmp.Ordered](pairs []Pair, of func(*Pair) T) T {
	all := make([]T, len(pairs))
	for i := range pairs {
		all[i] = of(&pairs[i])
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// Check is one bar.
type Check struct {
	Name, Got, Want string
	Held            bool
}

// Checks holds the medians against the bars.
func (r *Report) Checks() []Check {
	if len(r.Pairs) == 0 {
		return nil
	}
	age := median(r.Pairs, func(p *Pair) int64 { return p.Seen.Age.P99 })
	memory := median(r.Pairs, func(p *Pair) int64 { return p.PerView })
	without, with := median(r.Pairs, func(p *Pair) float64 { return p.Without.P99 }), median(r.Pairs, func(p *Pair) float64 { return p.With.P99 })
	rate := median(r.Pairs, func(p *Pair) float64 { return p.With.PerSecond })
	astray := median(r.Pairs, func(p *Pair) int64 { return p.Seen.Lost + p.Seen.Silent })
	refused := median(r.Pairs, func(p *Pair) int64 { return p.With.Refused + p.Without.Refused })
	slower := max(SlowerPartMax*without, SlowerMsMax)
	return []Check{
		{"age of a viewer's total, p99", fmt.Sprintf("%d ms", age), fmt.Sprintf("<= %d ms", AgeMost), age <= AgeMost},
		{"server's memory per viewer", fmt.Sprintf("%.1f KB", float64(memory)/1024), fmt.Sprintf("<= %d KB", BytesMost/1024), memory <= BytesMost},
		{"donate p99, viewers watching", fmt.Sprintf("%.1f ms", with), fmt.Sprintf("<= %.1f ms (%.1f ms without them)", without+slower, without), with <= without+slower},
		{"donations a second meanwhile", fmt.Sprintf("%.0f", rate), fmt.Sprintf(">= %.0f", RateLeast*float64(r.PerSecond)), rate >= RateLeast*float64(r.PerSecond)},
		{"viewers lost or without a total", fmt.Sprint(astray), "0", astray == 0},
		{"donations refused", fmt.Sprint(refused), "0", refused == 0},
	}
}

// Held tells whether every bar holds.
func (r *Report) Held() bool {
	return len(r.Pairs) > 0 && !slices.ContainsFunc(r.Checks(), func(c Check) bool { return !c.Held })
}

// WriteTable writes the pairs and the bars for people.
func (r *Report) WriteTable(w io.Writer) error {
	var out []byte
	out = fmt.Appendf(out, "%d viewers, %d donations/s, %d pairs\n\n", r.Viewers, r.PerSecond, len(r.Pairs))
	out = fmt.Appendf(out, "%4s  %12s  %12s  %12s  %9s  %9s  %9s  %13s  %10s\n", "pair", "p99 without", "p99 with", "age p99", "age most", "KB/viewer", "events/s", "cores without", "cores with")
	for i := range r.Pairs {
		p := &r.Pairs[i]
		out = fmt.Appendf(out, "%4d  %9.1f ms  %9.1f ms  %9d ms  %6d ms  %9.1f  %9.0f  %13.2f  %10.2f\n", i+1, p.Without.P99, p.With.P99, p.Seen.Age.P99, p.Seen.Age.Most,
			float64(p.PerView)/1024, float64(p.Seen.Events)/max(p.Seen.Seconds, 1), p.Without.Cores, p.With.Cores)
	}
	out = append(out, '\n')
	for _, c := range r.Checks() {
		word := "held"
		if !c.Held {
			word = "MISSED"
		}
		out = fmt.Appendf(out, "%-6s  %-34s %s, want %s\n", word, c.Name, c.Got, c.Want)
	}
	_, err := w.Write(out)
	return err
}
