package loadtest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"text/tabwriter"

	"spillway/loadtest/visit"
)

// invite makes the visitors of the run, nil when nobody visits. A resumed run's come
// to what is left of it as if it were the whole: their record is not kept.
func (r *rehearsal) invite() (*visit.Visitors, error) {
	if r.cfg.Visits == nil || !r.cfg.Visits.Any() {
		return nil, nil
	}
	slugs := make([]string, r.plan.rows)
	for i := range slugs {
		slugs[i] = r.plan.campaigns[i].Slug
	}
	hash := r.cfg.Source.Hash()
	return visit.New(visit.Config{Habits: *r.cfg.Visits, Target: r.cfg.Target, Source: shared{r.cfg.Source, r.cfg.Share}, Slugs: slugs, Seed: binary.LittleEndian.Uint64(hash[:])})
}

// visitWarnings say what makes the figures of the visits doubtful.
func visitWarnings(v *visit.Report) (all []string) {
	if v == nil {
		return nil
	}
	if p99 := v.Lateness.P99; p99 > LatenessTrusted {
		all = append(all, fmt.Sprintf("visits were late: p99 %v, more than %v; the generator gave out, not the target", p99, LatenessTrusted))
	}
	if n := v.LeftOut + v.Streams.Full; n > 0 {
		all = append(all, fmt.Sprintf("%s visits found no room in the generator and were left out or cut short; ask for fewer, or for more streams", count(n)))
	}
	if n := v.Failures(); n > 0 {
		all = append(all, fmt.Sprintf("%s requests of visitors were refused or failed", count(n)))
	}
	return all
}

func (r *Report) writeVisits(b *bytes.Buffer) {
	v := r.Visits
	if v == nil {
		return
	}
	fmt.Fprintf(b, "\nVisits: %s begun of %s, %s of them by donors%s%s\n\n", count(v.Begun), count(v.Visits), count(v.Donors),
		when(v.LeftOut > 0, "; %s left out", count(v.LeftOut)), when(v.Cut > 0, "; %s cut off by the end", count(v.Cut)))
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) {
		fmt.Fprintf(t, "  %s\t%s\n", name, fmt.Sprintf(format, args...))
	}
	requests := func(name string, of *visit.Requests) {
		row(name, "%s   (%s, %.1f MB; refused: %s; failed: %s)", spread(Distribution(of.Latency)), count(of.OK), float64(of.Bytes)/1e6, refused(of.Refused), count(of.Failed))
	}
	requests("pages", &v.Pages)
	if v.Polls.OK+v.Polls.Failed > 0 || len(v.Polls.Refused) > 0 {
		requests("polls of totals", &v.Polls)
	}
	if s := &v.Streams; s.Opened+s.Failed+s.Full > 0 || len(s.Refused) > 0 {
		row("streams opened", "%s   (%s, at most %s at a time; %s events, %.1f MB)", spread(Distribution(s.Open)), count(s.Opened), count(s.Most), count(s.Events), float64(s.Bytes)/1e6)
		row("", "refused: %s; failed: %s; lost early: %s; no room here: %s", refused(s.Refused), count(s.Failed), count(s.Lost), count(s.Full))
	}
	row("age as shown", "%s   (now - as_of, when it came)", spread(Distribution(v.Age)))
	row("own lateness", "%s", spread(Distribution(v.Lateness)))
	row("waiting", "%s   (for a connection)", spread(Distribution(v.Waiting)))
	_ = t.Flush() // into memory
}
