package bench

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"
)

// Figure is one measured quantity with all its repeats, in the order measured.
type Figure struct {
	Name    string    `json:"name"`
	Median  float64   `json:"median"`
	Repeats []float64 `json:"repeats"`
}

// Bar is a promise held against a figure's median.
type Bar struct {
	Figure string  `json:"figure"`
	Says   string  `json:"says"`
	AtMost bool    `json:"at_most"` // the bound is a ceiling, not a floor
	Bound  float64 `json:"bound"`
	Median float64 `json:"median"`
	Held   bool    `json:"held"`
}

// Report is everything that one run measured.
type Report struct {
	Machine   string    `json:"machine"`
	StartedAt time.Time `json:"started_at"`
	EndedAt   time.Time `json:"ended_at"`
	Figures   []*Figure `json:"figures"`
	Bars      []Bar     `json:"bars"`
}

func newReport() *Report { return &Report{Machine: machine(), StartedAt: time.Now().UTC()} }

// add appends a repeat of the named figure.
func (r *Report) add(name string, v float64) {
	f := r.figure(name)
	if f == nil {
		f = &Figure{Name: name}
		r.Figures = append(r.Figures, f)
	}
	f.Repeats = append(f.Repeats, v)
	f.Median = median(f.Repeats)
}

func (r *Report) figure(name string) *Figure {
	for _, f := range r.Figures {
		if f.Name == name {
			return f
		}
	}
	return nil
}

// bars are what every change has to keep.
var bars = []Bar{
	{Figure: "acks_over_echo", Bound: 0.45, Says: "durable acks per second over a bare fasthttp echo"},
	{Figure: "ack_cpu_over_echo", Bound: 3, AtMost: true, Says: "server CPU per acknowledged donation over the echo's"},
	{Figure: "acks_refused", Bound: 0, AtMost: true, Says: "refusals and errors while measuring acks"},
	{Figure: "totals_over_bare", Bound: 0.80, Says: "GET totals over a bare handler answering as many bytes"},
	{Figure: "campaign_page_over_bare", Bound: 0.60, Says: "a campaign's page over a bare handler answering as many bytes"},
	{Figure: "day_page_over_bare", Bound: 0.60, Says: "the giving day's page over a bare handler answering as many bytes"},
	{Figure: "pages_refused", Bound: 0, AtMost: true, Says: "refusals and errors while measuring pages"},
	{Figure: "sustained_per_second", Bound: 20_000, Says: "donations per second from HTTP to Postgres, sustained"},
	{Figure: "sustained_over_acks", Bound: 0.50, Says: "sustained rate over the rate of acks alone"},
	{Figure: "sustained_lag_growth", Bound: 1.5, AtMost: true, Says: "lag in the last third over lag in the first third"},
	{Figure: "one_over_many", Bound: 0.9, Says: "all gifts to one campaign over gifts to many"},
	{Figure: "drain_over_copy", Bound: 0.60, Says: "drain of a backlog over COPY of the same rows"},
	{Figure: "offered_ack_p99_over_bound", Bound: 1, AtMost: true, Says: "p99 ack at the offered rate over 5 x p99 fsync + 5 ms"},
	{Figure: "charging_ack_p99_over_allowed", Bound: 1, AtMost: true, Says: "p99 ack while cards are charged over that without, a half or 5 ms more"},
	{Figure: "shards_3_scaled_cpu_over_one", Bound: 1.15, AtMost: true, Says: "CPU per donation with three shards, ledgers and times the load over that with one"},
	{Figure: "offered_lag_p99_ms", Bound: 500, AtMost: true, Says: "p99 of lag_ms as clients read it at the offered rate"},
}

// lagFloor keeps lags of a few hundred milliseconds, which a frame's tick alone
// makes jump, from being called growth: below it a lag is flat.
const lagFloorMS = 500

// judge holds the medians against the bars; a part that was not measured has no bar.
func (r *Report) judge() {
	r.EndedAt = time.Now().UTC()
	if first, last := r.figure("sustained_lag_first_third_ms"), r.figure("sustained_lag_last_third_ms"); first != nil && last != nil && r.figure("sustained_lag_growth") == nil {
		for i := range first.Repeats {
			r.add("sustained_lag_growth", max(last.Repeats[i], lagFloorMS)/max(first.Repeats[i], lagFloorMS))
		}
	}
	r.Bars = r.Bars[:0]
	for _, bar := range bars {
		f := r.figure(bar.Figure)
		if f == nil {
			continue
		}
		bar.Median = f.Median
		if bar.AtMost {
			bar.Held = f.Median <= bar.Bound
		} else {
			bar.Held = f.Median >= bar.Bound
		}
		r.Bars = append(r.Bars, bar)
	}
}

// Held tells whether every measured bar holds.
func (r *Report) Held() bool {
	return len(r.Bars) > 0 && !slices.ContainsFunc(r.Bars, func(b Bar) bool { return !b.Held })
}

// WriteJSON writes the report with all repeats.
func (r *Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// WriteTable writes the report for people.
func (r *Report) WriteTable(w io.Writer) error {
	fmt.Fprintf(w, "\n%s\n\n", r.Machine)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "FIGURE\tMEDIAN\tMIN\tMAX\tREPEATS")
	for _, f := range r.Figures {
		fmt.Fprintf(t, "%s\t%.4g\t%.4g\t%.4g\t%d\n", f.Name, f.Median, slices.Min(f.Repeats), slices.Max(f.Repeats), len(f.Repeats))
	}
	fmt.Fprintln(t, "\nBAR\tMEDIAN\tBOUND\tVERDICT\t")
	for _, b := range r.Bars {
		sign, verdict := ">=", "held"
		if b.AtMost {
			sign = "<="
		}
		if !b.Held {
			verdict = "MISSED"
		}
		fmt.Fprintf(t, "%s\t%.4g\t%s %.4g\t%s\t\n", b.Says, b.Median, sign, b.Bound, verdict)
	}
	return t.Flush()
}

// median of at least one value; the lower of the middle two of an even number.
func median[T cmp.Ordered](v []T) T {
	s := slices.Clone(v)
	slices.Sort(s)
	return s[(len(s)-1)/2]
}
