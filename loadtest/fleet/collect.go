package fleet

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"spillway/loadtest"
	"spillway/loadtest/gift"
	"spillway/loadtest/record"
)

// collect brings one member's record and tally, and holds one against the other.
func (l *Leader) collect(ctx context.Context, m *member) (part loadtest.Part, err error) {
	s, _, lost := m.now()
	if lost != nil {
		return part, lost
	}
	if s.Record == nil || s.Tally == nil {
		return part, fmt.Errorf("it ended and has none: %w", ErrRecord)
	}
	// Clocks drift: the truth was between what it is now and what it was before the start.
	after, err := l.clocks(ctx, m)
	if err != nil {
		return part, err
	}
	at := m.clock.both(after)
	var tally bytes.Buffer
	if s.Tally.Bytes > tallyBytesMax {
		return part, fmt.Errorf("a tally of %d bytes: %w", s.Tally.Bytes, ErrRecord)
	}
	if err := l.fetch(ctx, m, whatTally, s.Tally, &tally); err != nil {
		return part, err
	}
	t := &loadtest.Tally{}
	if err := json.Unmarshal(tally.Bytes(), t); err != nil {
		return part, fmt.Errorf("its tally: %w: %w", err, ErrRecord)
	}
	path := l.cfg.Beside(m.name)
	if err := l.keep(ctx, m, s.Record, path); err != nil {
		return part, err
	}
	share := sent{run: l.cfg.Orders.Run, hash: l.cfg.Orders.Hash, share: m.share, began: time.Unix(0, m.beginsAt)}
	if err := share.check(path, t); err != nil {
		return part, err
	}
	return loadtest.Part{Name: m.name, Machine: m.machine, Record: record.Part{Path: path, Ahead: at.ahead(), Unsure: at.unsure()}, Tally: t}, nil
}

// fetch reads a file of a member to its end and holds it against its checksum.
func (l *Leader) fetch(ctx context.Context, m *member, what string, file *File, into io.Writer) error {
	sum := sha256.New()
	for at := int64(0); at < file.Bytes; {
		a, err := l.ask(ctx, m, question{Do: read, What: what, Offset: at})
		if err != nil {
			return fmt.Errorf("its %s: %w", what, err)
		}
		if len(a.Data) == 0 || at+int64(len(a.Data)) > file.Bytes {
			return fmt.Errorf("its %s has not the %d bytes that it said: %w", what, file.Bytes, ErrRecord)
		}
		if _, err := io.MultiWriter(into, sum).Write(a.Data); err != nil {
			return err
		}
		at += int64(len(a.Data))
	}
	if hex.EncodeToString(sum.Sum(nil)) != file.SHA256 {
		return fmt.Errorf("its %s came with another checksum: %w", what, ErrRecord)
	}
	return nil
}

// keep writes a member's record to path, whole and on disk or not at all.
func (l *Leader) keep(ctx context.Context, m *member, file *File, path string) (err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	part := path + ".part"
	f, err := os.OpenFile(part, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	err = errors.Join(l.fetch(ctx, m, whatRecord, file, f), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(part, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(part))
	}
	return nil
}

// sent is what a member was to send.
type sent struct {
	run, hash string
	share     loadtest.Share
	began     time.Time
}

// check holds a record against the orders and the tally: it is of this run, of one
// session, that which began when we said, ended in order, with rows of the share only, and
// as many as the tally counts. Errors: ErrRecord, those of record.Scan.
func (s *sent) check(path string, t *loadtest.Tally) error {
	wrong := func(format string, args ...any) error {
		return fmt.Errorf("%s: %s: %w", path, fmt.Sprintf(format, args...), ErrRecord)
	}
	var attempts, firsts, accepted int64
	sessions, ends := 0, 0
	h, torn, err := record.Scan(path, record.Visitor{
		Session: func(e record.Session) error {
			sessions++
			if !e.StartedAt.Equal(s.began) {
				return wrong("it began at %v, told was %v", e.StartedAt, s.began.UTC())
			}
			return nil
		},
		Attempt: func(a *record.Attempt) error {
			if a.Ref.Kind != gift.Row || !s.share.Has(a.Ref.Number, a.Ref.Copy) {
				return wrong("%v is not of its share", a.Ref)
			}
			attempts++
			if a.Try == 1 {
				firsts++
			}
			return nil
		},
		Answer: func(a *record.Answer) error {
			if a.Outcome == record.Accepted {
				accepted++
			}
			return nil
		},
		End: func(record.End) error { ends++; return nil },
	})
	switch {
	case err != nil && !errors.Is(err, ErrRecord):
		return fmt.Errorf("%w: %w", err, ErrRecord)
	case err != nil:
		return err
	case torn > 0:
		return wrong("its last %d bytes are cut off", torn)
	case h.Run != s.run || h.Hash != s.hash || h.Probes:
		return wrong("it is of run %q", h.Run)
	case sessions != 1 || ends != 1:
		return wrong("%d sessions began in it and %d ended, want one", sessions, ends)
	case attempts != t.Attempts || firsts != t.Sent || accepted != t.Accepted:
		return wrong("%d rows in %d attempts, %d accepted; counted were %d in %d, %d accepted", firsts, attempts, accepted, t.Sent, t.Attempts, t.Accepted)
	}
	return nil
}
