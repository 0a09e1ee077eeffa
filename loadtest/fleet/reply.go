package fleet

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// reply answers one question of a leader. Questions that are for another process of this
// name are left to that one.
func (f *follower) reply(message []byte) []byte {
	var q question
	if err := json.Unmarshal(message, &q); err != nil || q.To != f.id {
		return nil
	}
	a, err := f.do(&q)
	if err != nil {
		a = answer{Refused: err.Error()}
	}
	text, err := json.Marshal(a)
	if err != nil {
		f.cfg.Log.Error("an answer cannot be written", "error", err)
		return nil
	}
	return text
}

// do does what is asked. What was done already is not done twice.
func (f *follower) do(q *question) (a answer, err error) {
	if q.Do == clock { // before anything that takes time
		return answer{Now: time.Now().UnixNano()}, nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if q.Do == enlist && f.leader == "" && q.Leader != "" {
		f.leader = q.Leader
	}
	if q.Leader != f.leader {
		return a, errors.New("it is led by another one")
	}
	f.heard = time.Now()
	switch q.Do {
	case enlist:
	case report:
		s := f.state
		a.State = &s
		f.state.Counts.Recent = nil
	case order:
		return a, f.take(q.Orders)
	case put:
		return a, f.put(q.Offset, q.Data)
	case prepare:
		return a, f.prepare()
	case start:
		if f.beginsAt.IsZero() {
			f.beginsAt = time.Unix(0, q.At)
			close(f.told)
		}
	case stop:
		if !f.stopped {
			f.stopped = true
			close(f.halt)
		}
	case read:
		a.Data, err = f.read(q.What, q.Offset)
	case release:
		select {
		case <-f.free:
		default:
			f.why = q.Why
			close(f.free)
		}
	default:
		return a, fmt.Errorf("it does not know how to %q", q.Do)
	}
	return a, err
}

// take keeps the orders; f.mu is held, as by all that follow.
func (f *follower) take(o *Orders) error {
	switch {
	case f.orders != nil:
		return nil // the same once more
	case o == nil:
		return errors.New("orders that say nothing")
	}
	if file := o.File; file != nil {
		name := filepath.Base(file.Name)
		if file.Bytes < 0 || file.Bytes > fileBytesMax {
			return fmt.Errorf("a file of %d bytes; at most %d can be sent along", file.Bytes, int64(fileBytesMax))
		}
		if name != file.Name || name == whatRecord || name == whatTally || strings.HasPrefix(name, ".") {
			return fmt.Errorf("a file cannot be called %q", file.Name)
		}
		var err error
		if f.file, err = os.OpenFile(f.path(name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600); err != nil {
			return err
		}
	}
	f.orders = o
	return nil
}

// put writes a part of the replayed file.
func (f *follower) put(offset int64, data []byte) error {
	switch {
	case f.file == nil:
		return errors.New("no file was announced, or it is whole")
	case offset < 0 || offset > f.received || offset+int64(len(data)) > f.orders.File.Bytes:
		return fmt.Errorf("%d bytes at %d of a file of %d, %d are here", len(data), offset, f.orders.File.Bytes, f.received)
	}
	if _, err := f.file.WriteAt(data, offset); err != nil {
		return err
	}
	f.received = max(f.received, offset+int64(len(data)))
	return nil
}

// prepare has the work begin.
func (f *follower) prepare() error {
	if f.orders == nil {
		return errors.New("it has no orders")
	}
	if f.file != nil {
		err := f.file.Close()
		f.file = nil
		if err != nil {
			return err
		}
	}
	if f.state.Phase == waiting {
		f.state.Phase = preparing
		close(f.ordered)
	}
	return nil
}

// read returns a part of what the leader collects; nothing at the end.
func (f *follower) read(what string, offset int64) (data []byte, err error) {
	if f.state.Phase != ended || what != whatRecord && what != whatTally || offset < 0 {
		return nil, fmt.Errorf("%q at %d cannot be read in the phase %q", what, offset, f.state.Phase)
	}
	file, err := os.Open(f.path(what))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	data = make([]byte, chunkBytes)
	n, err := file.ReadAt(data, offset)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return data[:n], err
}
