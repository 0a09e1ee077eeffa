package bluegreen

import (
	"context"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"spillway/deploy/haproxy"
)

// answerTimes is the proxy's table of how long donations took (deploy/haproxy): for each
// server, counter 0 counts all of them, counter i+1 those within bounds[i].
const answerTimes = "answer_times"

// bounds are what the proxy counts by, rising by a half or so: a percentile is known to
// that.
var bounds = []time.Duration{
	1 * time.Millisecond, 2 * time.Millisecond, 3 * time.Millisecond, 5 * time.Millisecond, 7 * time.Millisecond,
	10 * time.Millisecond, 15 * time.Millisecond, 20 * time.Millisecond, 30 * time.Millisecond, 50 * time.Millisecond,
	75 * time.Millisecond, 100 * time.Millisecond, 150 * time.Millisecond, 200 * time.Millisecond, 300 * time.Millisecond,
	500 * time.Millisecond, 750 * time.Millisecond, 1 * time.Second, 2 * time.Second, 5 * time.Second,
}

// tail is the share of answers beyond the percentile that is judged, p99.
const tail = 0.01

// times is a histogram of answers; nil when the proxy has none. Element 0 counts all,
// element i+1 those within bounds[i].
type times []int64

// timesOf returns, for each server's name, how long its donations took since the proxy
// started. A proxy without the table has none: nil. Errors: haproxy.ErrProxy.
func timesOf(ctx context.Context, p haproxy.Socket) (map[string]times, error) {
	answer, err := p.Ask(ctx, "show table "+answerTimes)
	if err != nil {
		return nil, err
	}
	return parseTimes(answer)
}

var (
	tableKey     = regexp.MustCompile(`(?:^| )key=(\S+)`)
	tableCounter = regexp.MustCompile(` gpc(\d+)=(\d+)`)
)

func parseTimes(answer string) (map[string]times, error) {
	answer = strings.TrimSpace(answer)
	if strings.HasPrefix(answer, "No such table") {
		return nil, nil
	}
	if head, _, _ := strings.Cut(answer, "\n"); !strings.HasPrefix(head, "# table: "+answerTimes+",") {
		return nil, fmt.Errorf("%w: table %s: %q", haproxy.ErrProxy, answerTimes, head)
	}
	all := map[string]times{}
	for _, line := range strings.Split(answer, "\n")[1:] {
		key := tableKey.FindStringSubmatch(line)
		if key == nil {
			continue
		}
		t := make(times, len(bounds)+1)
		found := 0
		for _, m := range tableCounter.FindAllStringSubmatch(line, -1) {
			i, err := strconv.Atoi(m[1])
			if err != nil || i >= len(t) {
				return nil, fmt.Errorf("%w: table %s counts by other bounds than this program", haproxy.ErrProxy, answerTimes)
			}
			if t[i], err = strconv.ParseInt(m[2], 10, 64); err != nil {
				return nil, fmt.Errorf("%w: table %s: %w", haproxy.ErrProxy, answerTimes, err)
			}
			found++
		}
		if found != len(t) {
			return nil, fmt.Errorf("%w: table %s counts by other bounds than this program", haproxy.ErrProxy, answerTimes)
		}
		all[key[1]] = t
	}
	return all, nil
}

// of sums up the servers of a colour.
func of(all map[string]times, colour string) times {
	if all == nil {
		return nil
	}
	sum := make(times, len(bounds)+1)
	for name, t := range all {
		if strings.HasPrefix(name, colour+"-") {
			for i, n := range t {
				sum[i] += n
			}
		}
	}
	return sum
}

// since returns what was counted after before.
func (t times) since(before times) times {
	after := slices.Clone(t)
	for i := range min(len(t), len(before)) {
		after[i] -= before[i]
	}
	return after
}

// all counts the answers.
func (t times) all() int64 {
	if len(t) == 0 {
		return 0
	}
	return t[0]
}

// p99 is the bound within which 99 of 100 answers came; the last one when none did.
func (t times) p99() time.Duration {
	for i, b := range bounds {
		if float64(t[0]-t[i+1]) <= tail*float64(t[0]) {
			return b
		}
	}
	return bounds[len(bounds)-1]
}

// slow returns how many answers took longer than is allowed beside old, and that bound:
// old's p99 and slower (a share) or slowerLeast more, up to the next bound. The verdict is
// bad when they are more than one in a hundred, and so many more that chance does not
// explain it (two standard deviations: a handful of answers says little).
func (t times) slow(old times, slower float64) (n int64, bound time.Duration, bad bool) {
	p99 := old.p99()
	allowed := p99 + max(time.Duration(slower*float64(p99)), slowerLeast)
	i, _ := slices.BinarySearch(bounds, allowed)
	if i == len(bounds) {
		return 0, allowed, false // slower than anything is counted
	}
	n = t[0] - t[i+1]
	most := tail * float64(t[0])
	return n, bounds[i], float64(n) > most+2*math.Sqrt(most)
}
