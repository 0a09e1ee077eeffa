package loadtest

import (
	"container/heap"
	"sync"
	"time"

	"spillway/ledger/money"
	"spillway/loadtest/gift"
	"spillway/loadtest/record"
	"spillway/loadtest/trace"
)

// job is one gift on its way to a definite answer.
type job struct {
	ref gift.Ref
	// row are the lines of a row, the first so many of them; most have one.
	row   [trace.BasketMost]record.Line
	count int8
	// planned is when it should leave; latency counts from here.
	planned time.Time
	// first is when the first attempt left, zero before.
	first time.Time
	// queued is when the attempt under way was put into the queue.
	queued time.Time
	try    int
	// probe is nil for a row.
	probe *probe
}

func (j *job) lines() []record.Line {
	if j.probe != nil {
		return j.probe.lines
	}
	return j.row[:j.count]
}

// probe is what a request beside the rows differs in.
type probe struct {
	lines    []record.Line // none when the body holds no donation
	currency money.Currency
	// body replaces the one made from the lines; contentType application/json.
	body        []byte
	contentType string
	done        chan<- result // has room for one
}

// result is what a gift came to.
type result struct {
	outcome record.Outcome
	code    int
	accepted
}

// queue holds jobs whose attempts are on file until a connection is free. It is
// first in, first out, so that waiting is shared fairly.
type queue struct {
	mu     sync.Mutex
	filled sync.Cond
	jobs   []job // ring
	head   int
	count  int
	idle   int
	closed bool
}

// QueueMax bounds jobs that wait for a connection, about 150 bytes each. Beyond it
// the dispatcher waits, and that shows as lateness.
const QueueMax = 1 << 20

func newQueue() *queue {
	q := &queue{jobs: make([]job, 1024)}
	q.filled.L = &q.mu
	return q
}

// push adds jobs and wakes as many workers.
func (q *queue) push(jobs []job) {
	q.mu.Lock()
	for q.count+len(jobs) > len(q.jobs) {
		grown := make([]job, 2*len(q.jobs))
		n := copy(grown, q.jobs[q.head:])
		copy(grown[n:], q.jobs[:q.head])
		q.jobs, q.head = grown, 0
	}
	for i := range jobs {
		q.jobs[(q.head+q.count)%len(q.jobs)] = jobs[i]
		q.count++
	}
	wake := min(len(jobs), q.idle)
	q.mu.Unlock()
	for range wake {
		q.filled.Signal()
	}
}

// pop waits for a job; ok is false once the queue is closed.
func (q *queue) pop() (j job, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.count == 0 && !q.closed {
		q.idle++
		q.filled.Wait()
		q.idle--
	}
	if q.closed {
		return job{}, false
	}
	j = q.jobs[q.head]
	q.jobs[q.head] = job{}
	q.head = (q.head + 1) % len(q.jobs)
	q.count--
	return j, true
}

// len is how many jobs wait.
func (q *queue) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.count
}

// close sends every worker home; jobs that wait are dropped.
func (q *queue) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.filled.Broadcast()
}

// agenda holds jobs that are due at a time of their own: retries and probes. It is
// bounded by the jobs that are under way.
type agenda struct {
	mu   sync.Mutex
	jobs dueHeap
	wake chan struct{} // told when something earlier came
}

func newAgenda() *agenda { return &agenda{wake: make(chan struct{}, 1)} }

type dueJob struct {
	due time.Time
	job job
}

type dueHeap []dueJob

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, k int) bool { return h[i].due.Before(h[k].due) }
func (h dueHeap) Swap(i, k int)      { h[i], h[k] = h[k], h[i] }
func (h *dueHeap) Push(x any)        { *h = append(*h, x.(dueJob)) }
func (h *dueHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	old[len(old)-1] = dueJob{}
	*h = old[:len(old)-1]
	return last
}

// add notes a job for its time.
func (a *agenda) add(due time.Time, j job) {
	a.mu.Lock()
	heap.Push(&a.jobs, dueJob{due, j})
	first := a.jobs[0].due.Equal(due)
	a.mu.Unlock()
	if first {
		select {
		case a.wake <- struct{}{}:
		default:
		}
	}
}

// due appends the jobs that are due, and says when the next one is; the zero
// time when there is none.
func (a *agenda) due(now time.Time, into []job) ([]job, time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for len(a.jobs) > 0 && !a.jobs[0].due.After(now) {
		into = append(into, heap.Pop(&a.jobs).(dueJob).job)
	}
	if len(a.jobs) == 0 {
		return into, time.Time{}
	}
	return into, a.jobs[0].due
}

// unsent takes out the jobs that never left; what is left are retries.
func (a *agenda) unsent() (jobs []job) {
	a.mu.Lock()
	defer a.mu.Unlock()
	kept := a.jobs[:0]
	for _, d := range a.jobs {
		if d.job.try == 0 {
			jobs = append(jobs, d.job)
			continue
		}
		kept = append(kept, d)
	}
	clear(a.jobs[len(kept):])
	a.jobs = kept
	heap.Init(&a.jobs)
	return jobs
}

// len is how many jobs wait for their time.
func (a *agenda) len() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.jobs)
}
