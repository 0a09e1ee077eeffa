package main

import (
	"fmt"
	"io"
	"sync"
	"time"

	"spillway/loadtest"
)

// screenEvery is how often the state is written where there is no terminal.
const screenEvery = 5 * time.Second

// screen shows how a rehearsal goes: one line that is written over on a
// terminal, a line every few seconds elsewhere.
type screen struct {
	mu       sync.Mutex
	out      io.Writer
	terminal bool
	open     bool // the line is not ended
	phase    string
	told     time.Time
}

func newScreen(out io.Writer) *screen { return &screen{out: out, terminal: isTerminal(out)} }

// show shows the state of a rehearsal.
func (s *screen) show(p loadtest.Progress) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if !s.terminal && p.Phase == s.phase && now.Sub(s.told) < screenEvery {
		return
	}
	s.phase, s.told = p.Phase, now
	s.write(p.Line())
}

// say shows a phase that is not the rehearsal's own.
func (s *screen) say(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.phase = text
	s.write(text)
}

// line writes a line that stays.
func (s *screen) line(text string) {
	s.end()
	fmt.Fprintln(s.out, text)
}

func (s *screen) write(text string) {
	if !s.terminal {
		fmt.Fprintln(s.out, text)
		return
	}
	fmt.Fprintf(s.out, "\r\x1b[K%s", text) // erase to the end of the line (ECMA-48, EL)
	s.open = true
}

// end ends the line that is written over.
func (s *screen) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open {
		fmt.Fprint(s.out, "\r\x1b[K")
		s.open = false
	}
}
