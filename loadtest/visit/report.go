package visit

import (
	"maps"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"spillway/loadtest/hdr"
)

// Report is what visits came to. Durations are in nanoseconds; latencies count from the
// planned time.
type Report struct {
	// Visits were planned up to the end, Donors of them by those who give too.
	Visits int64 `json:"visits"`
	Donors int64 `json:"donors"`
	// Begun visits asked for their page; LeftOut ones found no room in the generator;
	// Cut ones were under way when the rehearsal ended.
	Begun   int64 `json:"begun"`
	LeftOut int64 `json:"left_out"`
	Cut     int64 `json:"cut"`

	Pages   Requests `json:"pages"`
	Polls   Requests `json:"polls"`
	Streams Streams  `json:"streams"`
	// Age is that of totals when they came, by poll or by stream: now less as_of.
	Age Spread `json:"age"`
	// Lateness is the generator's own; Waiting that for a connection, part of the latency.
	Lateness Spread `json:"lateness"`
	Waiting  Spread `json:"waiting"`
}

// Requests are pages, or polls.
type Requests struct {
	// OK counts 200 and 304, Refused other statuses, Failed those without an answer.
	OK      int64         `json:"ok"`
	Refused map[int]int64 `json:"refused,omitempty"`
	Failed  int64         `json:"failed"`
	Bytes   int64         `json:"bytes"`
	Latency Spread        `json:"latency"` // of those that are OK
}

// Streams are live streams.
type Streams struct {
	Opened  int64         `json:"opened"`
	Refused map[int]int64 `json:"refused,omitempty"`
	Failed  int64         `json:"failed"`
	// Lost ones ended before their visitor left; Full counts visitors who found as many
	// open as the generator may have.
	Lost   int64  `json:"lost"`
	Full   int64  `json:"full"`
	Most   int64  `json:"most"` // open at the same time
	Events int64  `json:"events"`
	Bytes  int64  `json:"bytes"`
	Open   Spread `json:"open"` // planned time to the head of the answer
}

// Spread is a histogram's summary.
type Spread struct {
	Count int64         `json:"count"`
	P50   time.Duration `json:"p50_ns"`
	P90   time.Duration `json:"p90_ns"`
	P99   time.Duration `json:"p99_ns"`
	P999  time.Duration `json:"p999_ns"`
	Max   time.Duration `json:"max_ns"`
}

// Failures counts what was refused or failed, of pages, polls and streams.
func (r *Report) Failures() int64 {
	n := r.Pages.Failed + r.Polls.Failed + r.Streams.Failed
	for _, refused := range []map[int]int64{r.Pages.Refused, r.Polls.Refused, r.Streams.Refused} {
		for _, count := range refused {
			n += count
		}
	}
	return n
}

// histogramDigits is the precision of the visits' histograms.
const histogramDigits = 3

// histogram is safe for its journal's lock alone.
type histogram struct{ *hdrhistogram.Histogram }

func newHistogram() histogram { return histogram{hdr.New(histogramDigits)} }

// note records a duration; one beyond the range counts as the longest.
func (h histogram) note(d time.Duration) {
	hdr.Note(h.Histogram, d)
}

func (h histogram) spread() Spread {
	at := func(q float64) time.Duration { return time.Duration(h.ValueAtQuantile(q)) * time.Microsecond }
	return Spread{Count: h.TotalCount(), P50: at(50), P90: at(90), P99: at(99), P999: at(99.9), Max: time.Duration(h.Max()) * time.Microsecond}
}

// journal counts while visits go on.
type journal struct {
	mu                                           sync.Mutex
	report                                       Report
	pages, polls, open, ages, lateness, waitings histogram
}

func newJournal() *journal {
	j := &journal{pages: newHistogram(), polls: newHistogram(), open: newHistogram(), ages: newHistogram(), lateness: newHistogram(), waitings: newHistogram()}
	j.report.Pages.Refused, j.report.Polls.Refused, j.report.Streams.Refused = map[int]int64{}, map[int]int64{}, map[int]int64{}
	return j
}

func (j *journal) with(do func(*Report)) {
	j.mu.Lock()
	defer j.mu.Unlock()
	do(&j.report)
}

func (j *journal) began() { j.with(func(r *Report) { r.Begun++ }) }
func (j *journal) lost()  { j.with(func(r *Report) { r.Streams.Lost++ }) }
func (j *journal) full()  { j.with(func(r *Report) { r.Streams.Full++ }) }
func (j *journal) most(n int64) {
	j.with(func(r *Report) { r.Streams.Most = max(r.Streams.Most, n) })
}
func (j *journal) late(d time.Duration) { j.with(func(*Report) { j.lateness.note(d) }) }
func (j *journal) age(d time.Duration)  { j.with(func(*Report) { j.ages.note(d) }) }

// request notes the answer to a page or a poll; status 0 is none.
func (j *journal) request(poll bool, status int, latency, waited time.Duration, bytes int64) {
	j.with(func(r *Report) {
		to, of := &r.Pages, j.pages
		if poll {
			to, of = &r.Polls, j.polls
		}
		to.Bytes += bytes
		j.waitings.note(waited)
		switch status {
		case 0:
			to.Failed++
		case 200, 304:
			to.OK++
			of.note(latency)
		default:
			to.Refused[status]++
		}
	})
}

// opened notes the answer to a stream's request; status 0 is none.
func (j *journal) opened(status int, latency time.Duration) {
	j.with(func(r *Report) {
		switch status {
		case 0:
			r.Streams.Failed++
		case 200:
			r.Streams.Opened++
			j.open.note(latency)
		default:
			r.Streams.Refused[status]++
		}
	})
}

func (j *journal) streamed(events, bytes int64) {
	j.with(func(r *Report) { r.Streams.Events += events; r.Streams.Bytes += bytes })
}

// Report tells what visits came to, once Run has returned.
func (v *Visitors) Report() *Report {
	j := v.log
	j.mu.Lock()
	defer j.mu.Unlock()
	r := j.report
	r.Visits, r.Donors, r.LeftOut = v.schedule.planned, v.schedule.donors, v.schedule.leftOut
	r.Cut = int64(v.schedule.open)
	r.Pages.Refused, r.Polls.Refused, r.Streams.Refused = maps.Clone(r.Pages.Refused), maps.Clone(r.Polls.Refused), maps.Clone(r.Streams.Refused)
	r.Pages.Latency, r.Polls.Latency, r.Streams.Open = j.pages.spread(), j.polls.spread(), j.open.spread()
	r.Age, r.Lateness, r.Waiting = j.ages.spread(), j.lateness.spread(), j.waitings.spread()
	return &r
}
