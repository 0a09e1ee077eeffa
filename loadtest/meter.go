package loadtest

import (
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"spillway/loadtest/hdr"
	"spillway/loadtest/record"
	"spillway/loadtest/timeline"
)

// histogramDigits is the precision of the rehearsal's histograms.
const histogramDigits = 3

func newHistogram() *hdrhistogram.Histogram { return hdr.New(histogramDigits) }

// Distribution is a histogram's summary, in nanoseconds.
type Distribution struct {
	Count int64         `json:"count"`
	P50   time.Duration `json:"p50_ns"`
	P90   time.Duration `json:"p90_ns"`
	P99   time.Duration `json:"p99_ns"`
	P999  time.Duration `json:"p999_ns"`
	Max   time.Duration `json:"max_ns"`
}

func distribution(h *hdrhistogram.Histogram) Distribution {
	at := func(q float64) time.Duration { return time.Duration(h.ValueAtQuantile(q)) * time.Microsecond }
	return Distribution{Count: h.TotalCount(), P50: at(50), P90: at(90), P99: at(99), P999: at(99.9), Max: time.Duration(h.Max()) * time.Microsecond}
}

// meter counts what the rows of a session came to. Probes are not in it.
type meter struct {
	line     *timeline.Recorder // the same by the second
	mu       sync.Mutex
	latency  *hdrhistogram.Histogram // planned time to the 202 read
	recent   *hdrhistogram.Histogram // the same, since the progress was last shown
	lateness *hdrhistogram.Histogram // planned time to leaving for the queue
	waiting  *hdrhistogram.Histogram // in the queue for a connection

	sent       int64 // rows whose first attempt left
	attempts   int64 // of rows
	exchanges  int64 // of everything, for the cost per request
	accepted   int64
	refused    map[int]int64 // final, by status
	unknown    int64         // attempts without a definite answer
	deferred   int64         // attempts answered 429
	resolved   int64         // rows that were unknown for a while and then accepted
	unresolved int64         // rows given up
	wrong      int64         // 202s that do not say what the contract promises
	firstSent  time.Time
	lastSent   time.Time
	lastAnswer time.Time // the last 202, of probes too

	lastRowAnswer time.Time
	// ahead bounds how far the target's clock is ahead of ours: a 202's accepted_at
	// minus the time of sending, the least of all. Nil before the first.
	ahead        *time.Duration
	second, best int64 // 202s in the second that began at secondFrom, and in the best so far
	secondFrom   time.Time
}

func newMeter(line *timeline.Recorder) *meter {
	return &meter{line: line, latency: newHistogram(), recent: newHistogram(), lateness: newHistogram(), waiting: newHistogram(), refused: map[int]int64{}}
}

// left notes jobs that have just been put into the queue.
func (m *meter) left(jobs []job, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range jobs {
		j := &jobs[i]
		if j.probe != nil {
			continue
		}
		m.attempts++
		if j.try > 1 {
			continue
		}
		m.sent++
		hdr.Note(m.lateness, now.Sub(j.planned))
		m.line.Left(j.planned, now)
		if m.firstSent.IsZero() {
			m.firstSent = now
		}
		m.lastSent = now
	}
}

// answered notes the end of one attempt.
func (m *meter) answered(j *job, waited time.Duration, r *result, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.exchanges++
	if r.outcome == record.Accepted {
		m.lastAnswer = now
		if ahead := r.AcceptedAt.Sub(j.queued); m.ahead == nil || ahead < *m.ahead {
			m.ahead = &ahead
		}
	}
	if j.probe != nil {
		return
	}
	hdr.Note(m.waiting, waited)
	switch r.outcome {
	case record.Unknown:
		m.unknown++
		m.line.Unknown(now)
	case record.Deferred:
		m.deferred++
		m.line.Deferred(now)
	}
}

// settled notes what a row came to.
func (m *meter) settled(j *job, r result, now time.Time) {
	if j.probe != nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case r.outcome == record.Accepted:
		m.accepted++
		m.line.Accepted(j.planned, now)
		m.lastRowAnswer = now
		if m.secondFrom.IsZero() {
			m.secondFrom = m.firstSent
		}
		if past := now.Sub(m.secondFrom); past >= time.Second { // the timeline's seconds, nearly
			m.second, m.secondFrom = 0, m.secondFrom.Add(past.Truncate(time.Second))
		}
		m.second++
		m.best = max(m.best, m.second)
		if j.try > 1 {
			m.resolved++
		}
		latency := now.Sub(j.planned)
		hdr.Note(m.latency, latency)
		hdr.Note(m.recent, latency)
	case r.outcome == record.Refused:
		m.refused[r.code]++
		m.line.Refused(r.code, now)
	default:
		m.unresolved++
		m.line.Unresolved(now)
	}
}

// contradicted notes a 202 that is not the contract's; it tells whether there is
// still room to describe it.
func (m *meter) contradicted() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.wrong++
	return m.wrong <= findingsMax
}

// findingsMax bounds the findings of one session that say that something is wrong.
const findingsMax = 1000

// lastAccepted is when the last 202 was read, and how far the target's clock may
// be ahead of ours.
func (m *meter) lastAccepted() (at time.Time, ahead time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ahead != nil {
		ahead = *m.ahead
	}
	return m.lastAnswer, ahead
}
