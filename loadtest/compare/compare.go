// Package compare holds two rehearsals against each other: what got worse, what got
// better, and by how much.
//
// The invariant: a difference counts when it is beyond the tolerance and beyond what
// is noise in its unit; a proof that broke always counts. No goroutines.
package compare

import (
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"text/tabwriter"
	"time"

	"spillway/loadtest"
)

// Verdict is what became of a figure.
type Verdict string

// The verdicts.
const (
	Worse  Verdict = "worse"
	Better Verdict = "better"
	Same   Verdict = "same"
)

// Unit says how a figure is written.
type Unit string

// The units.
const (
	Nanoseconds Unit = "ns"
	Bytes       Unit = "bytes"
	Parts       Unit = "parts of one"
	Things      Unit = "things"
	PerSecond   Unit = "per second"
)

// What is noise: differences below are none, whatever part of the figure they are.
const (
	noiseTime   = float64(time.Millisecond)      // a tick of an idle timer
	noiseCPU    = float64(10 * time.Microsecond) // of one gift, by a clock of 10 ms ticks
	noiseParts  = 0.001
	noiseMemory = 16 << 20 // a garbage collection more or less
	// loadTolerated is how far what was asked for may differ for figures of load to say
	// something about the installation.
	loadTolerated = 0.05
)

// Row is one figure of both rehearsals.
type Row struct {
	Name string  `json:"name"`
	Unit Unit    `json:"unit"`
	A    float64 `json:"a"`
	B    float64 `json:"b"`
	// Change is B over A, less one; 0 when A is 0.
	Change  float64 `json:"change"`
	Verdict Verdict `json:"verdict"`
}

// Comparison is two rehearsals side by side.
type Comparison struct {
	A         string  `json:"a"` // runs
	B         string  `json:"b"`
	Tolerance float64 `json:"tolerance"` // part of one
	Rows      []Row   `json:"rows"`
	// Notes say what makes them hard to compare.
	Notes []string `json:"notes,omitempty"`
	// Worse tells whether anything got worse.
	Worse bool `json:"worse"`
}

// Compare holds b against a; tolerance is a part of one.
func Compare(a, b *loadtest.Report, tolerance float64) *Comparison {
	c := &Comparison{A: a.Run, B: b.Run, Tolerance: tolerance, Notes: notes(a, b)}
	// higher is worse, unless said otherwise
	add := func(name string, unit Unit, noise, from, to float64) { c.add(name, unit, noise, from, to, false) }
	add("proof broken", Things, 0, broken(a), broken(b))
	c.add("acknowledged, of what was asked for", Parts, noiseParts, share(a.Sending.Accepted, a.Sending.Planned), share(b.Sending.Accepted, b.Sending.Planned), true)
	add("gifts given up", Things, 0, float64(a.Sending.Unresolved), float64(b.Sending.Unresolved))
	add("refused for good, of the gifts", Parts, noiseParts, share(refused(a), a.Sending.Sent), share(refused(b), b.Sending.Sent))
	add("no definite answer, of the attempts", Parts, noiseParts, share(a.Sending.UnknownAnswers, a.Sending.Attempts), share(b.Sending.UnknownAnswers, b.Sending.Attempts))
	add("sent away by 429, of the attempts", Parts, noiseParts, share(a.Sending.Deferred, a.Sending.Attempts), share(b.Sending.Deferred, b.Sending.Attempts))
	durations := func(name string, from, to loadtest.Distribution) {
		if from.Count == 0 || to.Count == 0 {
			return
		}
		add(name+", p50", Nanoseconds, noiseTime, float64(from.P50), float64(to.P50))
		add(name+", p90", Nanoseconds, noiseTime, float64(from.P90), float64(to.P90))
		add(name+", p99", Nanoseconds, noiseTime, float64(from.P99), float64(to.P99))
	}
	durations("wait for the answer", a.Sending.Latency, b.Sending.Latency)
	durations("age of totals", a.Watch.Lag, b.Watch.Lag)
	if a.Drained && b.Drained {
		add("books complete after the last answer", Nanoseconds, float64(time.Second), float64(a.DrainFor), float64(b.DrainFor))
	}
	if x, y := a.Charging, b.Charging; x != nil && y != nil && x.RateFor > 0 && y.RateFor > 0 && x.Allowed == y.Allowed {
		c.add("charges while there was a queue", PerSecond, 0, x.Rate, y.Rate, true)
	}
	c.roles(a, b)
	for _, r := range c.Rows {
		c.Worse = c.Worse || r.Verdict == Worse
	}
	return c
}

func (c *Comparison) add(name string, unit Unit, noise, from, to float64, higherIsBetter bool) {
	r := Row{Name: name, Unit: unit, A: from, B: to, Verdict: Same}
	if from != 0 {
		r.Change = to/from - 1
	}
	beyond := math.Abs(to-from) > noise && math.Abs(to-from) > c.Tolerance*math.Abs(from)
	if name == "proof broken" || name == "gifts given up" {
		beyond = to != from
	}
	switch {
	case !beyond:
	case to > from == higherIsBetter:
		r.Verdict = Better
	default:
		r.Verdict = Worse
	}
	c.Rows = append(c.Rows, r)
}

// roles compares what roles used that both timelines have.
func (c *Comparison) roles(a, b *loadtest.Report) {
	from, to := usage(a), usage(b)
	for _, name := range slices.Sorted(maps.Keys(from)) {
		x, y := from[name], to[name]
		if y == nil || x.gifts == 0 || y.gifts == 0 {
			continue
		}
		c.add("processor time of "+name+", for each gift", Nanoseconds, noiseCPU, float64(x.cpu)/float64(x.gifts), float64(y.cpu)/float64(y.gifts), false)
		if x.memory > 0 && y.memory > 0 {
			c.add("memory of "+name+", most", Bytes, noiseMemory, float64(x.memory), float64(y.memory), false)
		}
	}
}

type used struct {
	cpu           time.Duration
	memory, gifts int64
}

func usage(r *loadtest.Report) map[string]*used {
	all := map[string]*used{}
	if r.Timeline == nil {
		return all
	}
	for _, p := range r.Timeline.Points {
		for name, u := range p.Roles {
			if name == loadtest.MachineRole {
				continue // others work there too
			}
			if all[name] == nil {
				all[name] = &used{gifts: r.Sending.Accepted}
			}
			all[name].cpu += u.CPU
			all[name].memory = max(all[name].memory, u.Resident)
		}
	}
	return all
}

func broken(r *loadtest.Report) float64 {
	if r.Holds {
		return 0
	}
	return float64(max(1, len(r.Failures)))
}

func refused(r *loadtest.Report) (n int64) {
	for _, of := range r.Sending.Refused {
		n += of
	}
	return n
}

func share(part, whole int64) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) / float64(whole)
}

// notes says what differs between the two but what they found.
func notes(a, b *loadtest.Report) (all []string) {
	say := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	if a.Source != b.Source || a.Speed != b.Speed {
		say("they sent different things: %q and %q", a.Source, b.Source)
	}
	if x, y := a.Sending.SentRate, b.Sending.SentRate; math.Abs(x-y) > loadTolerated*x {
		say("they asked for different rates: %.0f and %.0f gifts a second", x, y)
	}
	if x, y := a.Setting, b.Setting; x != nil && y != nil && x.Machine != y.Machine {
		say("they ran on different machines: %d x %s and %d x %s", x.Machine.Cores, x.Machine.CPU, y.Machine.Cores, y.Machine.CPU)
	}
	for _, r := range []*loadtest.Report{a, b} {
		if r.Sending.Lateness.P99 > loadtest.LatenessTrusted {
			say("the generator of %s was late itself: do not trust its waits", r.Run)
		}
	}
	return all
}

// WriteTable writes the comparison for people.
func (c *Comparison) WriteTable(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "\t%s\t%s\tchange\t\n", c.A, c.B)
	worse, better := 0, 0
	for _, r := range c.Rows {
		change := ""
		if r.A != 0 {
			change = fmt.Sprintf("%+.1f %%", 100*r.Change)
		}
		word := string(r.Verdict)
		switch r.Verdict {
		case Worse:
			word = "WORSE"
			worse++
		case Better:
			better++
		case Same:
			word = ""
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", r.Name, r.Unit.write(r.A), r.Unit.write(r.B), change, word)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	text := "\n"
	for _, n := range c.Notes {
		text += "Careful: " + n + "\n"
	}
	text += fmt.Sprintf("%d worse, %d better, %d the same within %g %%.\n", worse, better, len(c.Rows)-worse-better, 100*c.Tolerance)
	_, err := io.WriteString(w, text)
	return err
}

// write writes a figure.
func (u Unit) write(v float64) string {
	switch u {
	case Nanoseconds:
		return time.Duration(v).Round(time.Microsecond).String()
	case Bytes:
		return fmt.Sprintf("%.0f MiB", v/(1<<20))
	case Parts:
		return fmt.Sprintf("%.2f %%", 100*v)
	case PerSecond:
		return fmt.Sprintf("%.1f/s", v)
	}
	return fmt.Sprintf("%.0f", v)
}
