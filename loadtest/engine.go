package loadtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"spillway/ingest"
	"spillway/loadtest/conn"
	"spillway/loadtest/gift"
	"spillway/loadtest/record"
	"spillway/loadtest/timeline"
	"spillway/loadtest/trace"
)

// Bounds of the dispatcher.
const (
	// tickLeast keeps a busy dispatcher from waking for every single row.
	tickLeast = 500 * time.Microsecond
	// tickMost is how often answers are put on file, whatever is due.
	tickMost = 20 * time.Millisecond
	// blockRows is how many rows the reader hands over at once, blocksAhead how many
	// such blocks it is ahead.
	blockRows   = 1024
	blocksAhead = 8
)

// engine sends a run's jobs.
type engine struct {
	config    *Config
	run       *gift.Run
	campaigns []record.Campaign
	writer    *record.Writer
	endpoint  *conn.Endpoint
	queue     *queue
	agenda    *agenda
	meter     *meter
	start     time.Time // of the schedule
	header    []byte    // of every request, up to the key

	// open counts jobs that have not come to an end; held keeps the dispatcher
	// alive while scripts may still ask for something.
	open    atomic.Int64
	held    atomic.Int64
	rowsEnd atomic.Bool // the reader has nothing more, or was stopped
}

func newEngine(cfg *Config, run *gift.Run, campaigns []record.Campaign, w *record.Writer, line *timeline.Recorder) (*engine, error) {
	e := &engine{config: cfg, run: run, campaigns: campaigns, writer: w, queue: newQueue(), agenda: newAgenda(), meter: newMeter(line)}
	var err error
	if e.endpoint, err = conn.NewEndpoint(cfg.Target); err != nil {
		return nil, err
	}
	e.header = fmt.Appendf(nil, "POST %s%s HTTP/1.1\r\nHost: %s\r\nUser-Agent: spillway-rehearse\r\n", e.endpoint.Prefix, donationsPath, e.endpoint.Host)
	if cfg.Credential != "" {
		e.header = fmt.Appendf(e.header, "Spillway-Rehearsal: %s\r\n", cfg.Credential)
	}
	e.header = append(e.header, "Idempotency-Key: "...)
	return e, nil
}

// send sends every row that rows gives, and whatever scripts ask for, until all of
// it has come to an end. Closing stop ends the rows, and what has left is brought to
// its end; the end of ctx drops everything.
func (e *engine) send(ctx context.Context, stop <-chan struct{}, rows <-chan []trace.Row) error {
	group, ctx := errgroup.WithContext(ctx)
	conns := make([]*conn.Conn, e.config.Connections)
	var workers sync.WaitGroup
	for i := range conns {
		conns[i] = conn.New(e.endpoint)
		workers.Go(func() { e.work(ctx, conns[i]) })
	}
	unhook := context.AfterFunc(ctx, func() {
		e.queue.close()
		for _, c := range conns {
			c.Close()
		}
	})
	group.Go(func() error {
		err := e.dispatch(ctx, stop, rows)
		e.queue.close()
		return err
	})
	err := group.Wait()
	unhook()
	workers.Wait()
	for _, c := range conns {
		c.Close()
	}
	return err
}

// dispatch is the pacer: at each tick everything that is due is put on file in one
// write, and then into the queue.
func (e *engine) dispatch(ctx context.Context, stop <-chan struct{}, blocks <-chan []trace.Row) error {
	var rows []trace.Row // read and not due yet
	var batch []job
	stopped := false
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), e.writer.Flush())
		case <-stop:
			stop, blocks, rows, stopped = nil, nil, nil, true
			e.rowsEnd.Store(true)
		case <-e.agenda.wake:
		case <-timer.C:
		}
		if stopped { // at each tick: scripts that are under way may ask for more
			e.forget(e.agenda.unsent())
		}
		now := time.Now()
		var next time.Time
		batch, next = e.agenda.due(now, batch[:0])
		for blocks != nil || len(rows) > 0 {
			if len(rows) == 0 {
				block, more := <-blocks
				if !more {
					blocks = nil
					e.rowsEnd.Store(true)
					break
				}
				rows = block
			}
			room := QueueMax - e.queue.len() - len(batch)
			due := min(trace.Due(rows, now.Sub(e.start)), max(0, room))
			batch = e.appendRows(batch, rows[:due])
			rows = rows[due:]
			if len(rows) > 0 {
				if at := e.start.Add(rows[0].Planned); next.IsZero() || at.Before(next) {
					next = at
				}
				break
			}
		}
		if err := e.leave(batch); err != nil {
			return err
		}
		if e.rowsEnd.Load() && len(rows) == 0 && e.held.Load() == 0 && e.open.Load() == 0 {
			return e.writer.Flush()
		}
		wait := tickMost
		if !next.IsZero() {
			wait = min(wait, max(tickLeast, time.Until(next)))
		}
		timer.Reset(wait)
	}
}

// forget ends probes that never left.
func (e *engine) forget(jobs []job) {
	for i := range jobs {
		jobs[i].probe.done <- result{outcome: record.Unknown}
	}
	e.open.Add(-int64(len(jobs)))
}

func (e *engine) appendRows(batch []job, rows []trace.Row) []job {
	for i := range rows {
		r := &rows[i]
		j := job{ref: gift.Ref{Kind: gift.Row, Number: r.Number, Copy: r.Copy}, planned: e.start.Add(r.Planned)}
		for l := range r.Lines {
			j.row[j.count] = record.Line(l)
			j.count++
		}
		batch = append(batch, j)
	}
	e.open.Add(int64(len(rows)))
	return batch
}

// leave puts the attempts on file and then the jobs into the queue.
func (e *engine) leave(batch []job) error {
	if len(batch) == 0 {
		return e.writer.Flush()
	}
	sent := time.Now()
	for i := range batch {
		j := &batch[i]
		j.try++
		if j.first.IsZero() {
			j.first = sent
		}
		e.writer.Attempt(&record.Attempt{Ref: j.ref, Try: j.try, Sent: sent, Lines: j.lines()})
	}
	if err := e.writer.Flush(); err != nil {
		return err
	}
	now := time.Now()
	for i := range batch {
		batch[i].queued = now
	}
	e.meter.left(batch, now)
	e.queue.push(batch)
	return nil
}

// work sends jobs over one connection until the queue is closed.
func (e *engine) work(ctx context.Context, c *conn.Conn) {
	var w worker
	for {
		j, ok := e.queue.pop()
		if !ok {
			return
		}
		picked := time.Now()
		r, after, stale := w.attempt(ctx, e, c, &j)
		now := time.Now()
		e.writer.Answer(&record.Answer{Ref: j.ref, Try: j.try, Outcome: r.outcome, Code: r.code, At: now, AcceptedAt: r.AcceptedAt})
		e.meter.answered(&j, picked.Sub(j.queued), &r, now)
		if r.outcome == record.Unknown || r.outcome == record.Deferred {
			pause := backoff(j.try, after, chance)
			if stale && j.try == 1 {
				pause = 0
			}
			if now.Add(pause).Sub(j.first) <= e.config.Patience && ctx.Err() == nil {
				e.agenda.add(now.Add(pause), j)
				continue
			}
		}
		e.meter.settled(&j, r, now)
		if j.probe != nil {
			j.probe.done <- r
		}
		e.open.Add(-1)
	}
}

// worker holds the buffers of one connection.
type worker struct {
	request []byte
	body    []byte
	lines   []ingest.Line
}

// attempt sends a job once and judges the answer. after is what the target asks
// to wait, stale that a kept connection had been closed before.
func (w *worker) attempt(ctx context.Context, e *engine, c *conn.Conn, j *job) (r result, after time.Duration, stale bool) {
	g := w.build(e, j)
	response, err := c.Exchange(ctx, w.request, time.Now().Add(e.config.Timeout))
	if err != nil {
		return result{outcome: record.Unknown}, 0, errors.Is(err, conn.ErrStale)
	}
	r.code = response.StatusCode()
	r.outcome = outcomeOf(r.code)
	if r.outcome == record.Accepted {
		if wrong := r.check(response.Body(), &g); wrong != "" && e.meter.contradicted() {
			e.find(record.Finding{Invariant: "I1", Ref: j.ref.String(), ID: g.ID.String(), Detail: wrong})
		}
	}
	return r, retryAfter(response), false
}

// build renders the whole request and returns the gift in it.
func (w *worker) build(e *engine, j *job) gift.Gift {
	lines := j.lines()
	w.lines = w.lines[:0]
	for _, l := range lines {
		w.lines = append(w.lines, ingest.Line{Campaign: e.campaigns[l.Campaign].Slug, AmountMinor: l.AmountMinor})
	}
	contentType := "application/json"
	var g gift.Gift
	if len(lines) > 0 {
		currency := e.campaigns[lines[0].Campaign].Currency
		if j.probe != nil && j.probe.currency != "" {
			currency = j.probe.currency
		}
		g = e.run.Make(j.ref, currency, w.lines)
		w.body = g.AppendJSON(w.body[:0])
	}
	if j.probe != nil && j.probe.body != nil {
		w.body = append(w.body[:0], j.probe.body...)
	}
	if j.probe != nil && j.probe.contentType != "" {
		contentType = j.probe.contentType
	}
	b := append(w.request[:0], e.header...)
	b = e.run.AppendKey(b, j.ref)
	b = append(b, "\r\nContent-Type: "...)
	b = append(b, contentType...)
	b = append(b, "\r\nContent-Length: "...)
	b = strconv.AppendInt(b, int64(len(w.body)), 10)
	b = append(b, "\r\n\r\n"...)
	w.request = append(b, w.body...)
	return g
}

// find writes a finding. A record that cannot be written ends the run by way of
// the dispatcher's next Flush, which returns the same error.
func (e *engine) find(f record.Finding) {
	f.At = time.Now()
	_ = e.writer.Finding(f)
}

// ask sends a probe at its time and waits for what it comes to. ok is false when
// the run is dropped before.
func (e *engine) ask(ctx context.Context, ref gift.Ref, at time.Time, p probe) (r result, ok bool) {
	select {
	case r = <-e.post(ref, at, p):
		return r, true
	case <-ctx.Done():
		return result{}, false
	}
}

// post sends a probe at its time; what it comes to is told on the channel.
func (e *engine) post(ref gift.Ref, at time.Time, p probe) <-chan result {
	done := make(chan result, 1)
	p.done = done
	e.open.Add(1)
	e.agenda.add(at, job{ref: ref, planned: at, probe: &p})
	return done
}

// read parses the source ahead of the schedule. Rows that history knows to be
// answered are left out; those that left without an answer come first and at once;
// the rest goes on from where the schedule was.
func (e *engine) read(ctx context.Context, stop <-chan struct{}, source trace.Source, h *history, blocks chan<- []trace.Row) (err error) {
	defer close(blocks)
	stream, err := source.Open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stream.Close()) }()
	resume := resumption{history: h}
	for {
		block := make([]trace.Row, blockRows)
		n, err := stream.Next(block)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		block = resume.left(block[:n])
		if len(block) == 0 {
			continue
		}
		select {
		case blocks <- block:
		case <-stop:
			return nil
		case <-ctx.Done():
			return nil // send says why
		}
	}
}
