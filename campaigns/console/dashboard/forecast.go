package dashboard

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"spillway/campaigns/status"
)

// unknown is a figure that nobody told.
var unknown = math.NaN()

// Forecast is what becomes of the queue of charges if everything stays as it is.
type Forecast struct {
	// Kind is empty, draining, growing, paused, away or unknown.
	Kind string `json:"kind"`
	// DrainSeconds is when the queue will be worked off; null unless it drains.
	DrainSeconds *int64 `json:"drain_seconds"`
	Text         string `json:"text"` // for people
}

// drainMost is the longest forecast that means anything.
const drainMost = 7 * 24 * time.Hour

// forecast tells when the queue will be worked off, at the pace as it is now and with
// as many gifts coming as now.
func forecast(c *ChargingView, arriving float64) Forecast {
	switch {
	case c.Count == 0:
		return Forecast{Kind: "unknown", Text: "No payments process is heard."}
	case c.Paused:
		if c.Due == 0 {
			return Forecast{Kind: "paused", Text: "Charging is paused; nobody waits."}
		}
		return Forecast{Kind: "paused", Text: "Charging is paused: the queue only grows."}
	case c.ProcessorAway:
		return Forecast{Kind: "away", Text: "The processor does not answer; it is asked again and again."}
	case c.Due == 0:
		return Forecast{Kind: "empty", Text: "Nobody waits for their charge."}
	case c.PacePerSecond == nil:
		return Forecast{Kind: "unknown", Text: "The pace is not known yet."}
	}
	net := *c.PacePerSecond - arriving
	seconds := float64(c.Due) / net
	if net <= 0 || seconds > drainMost.Seconds() {
		return Forecast{Kind: "growing", Text: fmt.Sprintf("Gifts come faster than the pace of %s a second: the queue grows.", rate(*c.PacePerSecond))}
	}
	whole := int64(math.Ceil(seconds))
	return Forecast{Kind: "draining", DrainSeconds: &whole, Text: "Worked off in about " + span(time.Duration(whole)*time.Second) + "."}
}

// doing is one line of how a role does.
func doing(role string, r *status.Report) string {
	switch {
	case role == status.FrontEndRole && r.FrontEnd != nil:
		f := r.FrontEnd
		text := fmt.Sprintf("%s/s accepted", rate(max(0, f.AcceptedPerSecond-f.RehearsedPerSecond)))
		if f.RehearsedPerSecond > 0 {
			text += fmt.Sprintf(", %s/s rehearsed", rate(f.RehearsedPerSecond))
		}
		if f.Acks > 0 {
			text += fmt.Sprintf(", ack p50 %s, p99 %s", millis(f.AckP50Millis), millis(f.AckP99Millis))
		}
		return text + fmt.Sprintf(", %s watching", count(f.Viewers))
	case role == status.LedgerRole && r.Ledger != nil:
		l := r.Ledger
		text := fmt.Sprintf("%s/s recorded", rate(l.RecordedPerSecond))
		if l.RehearsedPerSecond > 0 {
			text += fmt.Sprintf(", %s/s rehearsed", rate(l.RehearsedPerSecond))
		}
		return text + fmt.Sprintf(", totals told %s ago", millis(float64(l.CountedMillis)))
	case role == status.PaymentsRole && r.Payments != nil:
		p := r.Payments
		text := fmt.Sprintf("%s/s charged", rate(p.ChargesPerSecond))
		if p.DeclinesPerSecond > 0 {
			text += fmt.Sprintf(", %s/s declined", rate(p.DeclinesPerSecond))
		}
		if p.RehearsedPerSecond > 0 {
			text += fmt.Sprintf(", %s/s rehearsed", rate(p.RehearsedPerSecond))
		}
		return text
	case role == status.AdminRole && r.Admin != nil && r.Admin.SearchMillis != nil:
		return "serves organisers, keeps lists and searches"
	case role == status.AdminRole:
		return "serves organisers"
	}
	return ""
}

// rate is a rate for people: two digits below ten, none of them wasted.
func rate(v float64) string {
	switch v = status.Number(v); {
	case v == 0:
		return "0"
	case v < 0.1:
		return strconv.FormatFloat(v, 'f', 2, 64)
	case v < 9.95:
		return strings.TrimSuffix(strconv.FormatFloat(v, 'f', 1, 64), ".0")
	}
	return count(int64(math.Round(v)))
}

// count is a whole number with its thousands apart.
func count(n int64) string {
	text := strconv.FormatInt(n, 10)
	first := 0
	if n < 0 {
		first = 1
	}
	for i := len(text) - 3; i > first; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// millis is a short time for people.
func millis(ms float64) string {
	switch ms = status.Number(ms); {
	case ms == 0:
		return "0 ms"
	case ms < 10:
		return strconv.FormatFloat(ms, 'f', 1, 64) + " ms"
	case ms < 1000:
		return strconv.FormatFloat(ms, 'f', 0, 64) + " ms"
	case ms < 60_000:
		return strconv.FormatFloat(ms/1000, 'f', 1, 64) + " s"
	}
	return span(time.Duration(ms) * time.Millisecond)
}

// span is a longer time for people, in its two largest units.
func span(d time.Duration) string {
	seconds := int64(d.Round(time.Second) / time.Second)
	switch {
	case seconds < 60:
		return fmt.Sprintf("%d s", seconds)
	case seconds < 600:
		return fmt.Sprintf("%d min %d s", seconds/60, seconds%60)
	case seconds < 3600:
		return fmt.Sprintf("%d min", (seconds+30)/60)
	case seconds < 2*86400:
		return fmt.Sprintf("%d h %d min", seconds/3600, seconds%3600/60)
	}
	return fmt.Sprintf("%d days", seconds/86400)
}
