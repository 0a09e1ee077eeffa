package dashboard

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"time"

	"spillway/campaigns/status"
)

const (
	// processesMax bounds the processes that are remembered: far more than one
	// installation runs. Beyond it, those that are gone are forgotten first.
	processesMax = 256
	// stoppedShown is how long a process that stopped in order stays on the screen, and
	// goneShown one that vanished: somebody should see it, and restarts make more of them.
	stoppedShown = 2 * time.Minute
	goneShown    = 15 * time.Minute
)

// State is how a process stands.
type State string

// The states of a process.
const (
	Ready    State = "ready"
	NotReady State = "not_ready"
	Silent   State = "silent"  // not heard for status.SilentAfter
	Gone     State = "gone"    // not heard for status.GoneAfter
	Stopped  State = "stopped" // in order
)

// Word is the state for people.
func (s State) Word() string { return strings.ReplaceAll(string(s), "_", " ") }

// Class is the style of its badge.
func (s State) Class() string {
	switch s {
	case Ready:
		return "good"
	case NotReady, Silent:
		return "warn"
	case Gone:
		return "bad"
	}
	return ""
}

// Process is one process as it was last heard.
type Process struct {
	*status.Report
	HeardAt time.Time // by our clock: theirs may be wrong
}

// StateAt is how the process stands.
func (p *Process) StateAt(now time.Time) State {
	silence := now.Sub(p.HeardAt)
	switch {
	case p.Leaving:
		return Stopped
	case silence > status.GoneAfter:
		return Gone
	case silence > status.SilentAfter:
		return Silent
	}
	for _, r := range p.Roles {
		if !r.Ready {
			return NotReady
		}
	}
	return Ready
}

// Speaks tells whether the process's figures are of now.
func (p *Process) Speaks(now time.Time) bool {
	s := p.StateAt(now)
	return s == Ready || s == NotReady
}

// Roster is the processes that were heard of. The zero value is empty.
type Roster struct {
	mu sync.Mutex
	by map[string]Process // node
}

// Hear takes in a report. One that is older than what is known is left out: a
// process's reports come in order, but a name may go to the next process.
func (o *Roster) Hear(r *status.Report, now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.by == nil {
		o.by = map[string]Process{}
	}
	before, known := o.by[r.Node]
	if known && (r.StartedAt.Before(before.StartedAt) || r.StartedAt.Equal(before.StartedAt) && r.Number < before.Number) {
		return
	}
	if !known && len(o.by) >= processesMax && !o.makeRoom(now) {
		return
	}
	o.by[r.Node] = Process{Report: r, HeardAt: now}
}

// makeRoom forgets the process that was silent the longest, if any is.
func (o *Roster) makeRoom(now time.Time) bool {
	oldest, at := "", now
	for node, p := range o.by {
		if !p.Speaks(now) && p.HeardAt.Before(at) {
			oldest, at = node, p.HeardAt
		}
	}
	delete(o.by, oldest)
	return oldest != ""
}

// Processes lists those that are worth showing, by role and name, and forgets the rest.
func (o *Roster) Processes(now time.Time) []Process {
	o.mu.Lock()
	defer o.mu.Unlock()
	all := make([]Process, 0, len(o.by))
	for node, p := range o.by {
		silence := now.Sub(p.HeardAt)
		if p.Leaving && silence > stoppedShown || silence > goneShown {
			delete(o.by, node)
			continue
		}
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b Process) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.Node, b.Node), a.StartedAt.Compare(b.StartedAt))
	})
	return all
}

// rank puts processes into the order of a donation's way.
func rank(p Process) int {
	order := []string{status.FrontEndRole, status.LedgerRole, status.PaymentsRole, status.AdminRole}
	least := len(order)
	for _, r := range p.Roles {
		if i := slices.Index(order, r.Name); i >= 0 {
			least = min(least, i)
		}
	}
	return least
}
