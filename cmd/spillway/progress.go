package main

import (
	"fmt"
	"io"
	"time"
)

// progress tells a person what is being started and how long it took. On a
// terminal a step shows while it runs; elsewhere each is one whole line, so that
// log lines do not run into it.
type progress struct {
	out      io.Writer
	terminal bool
	begun    time.Time
}

func newProgress(out io.Writer) *progress {
	return &progress{out: out, terminal: isTerminal(out), begun: time.Now()}
}

// eraseLine puts the cursor at the line's beginning and clears it (ECMA-48, EL).
const eraseLine = "\r\x1b[K"

// step runs one part of a start and prints one line when it is done. detail is
// asked after a success.
func (p *progress) step(what string, run func() error, detail func() string) error {
	begun := time.Now()
	if p.terminal {
		fmt.Fprintf(p.out, "  %-11s ...", what)
	}
	err := run()
	if p.terminal {
		fmt.Fprint(p.out, eraseLine)
	}
	if err != nil {
		fmt.Fprintf(p.out, "  %-11s failed (%s)\n", what, rounded(time.Since(begun)))
		return err
	}
	fmt.Fprintf(p.out, "  %-11s %s (%s)\n", what, detail(), rounded(time.Since(begun)))
	return nil
}

// note prints a line of its own.
func (p *progress) note(format string, args ...any) {
	fmt.Fprintf(p.out, "  "+format+"\n", args...)
}

// rounded is d as precise as a person reads it.
func rounded(d time.Duration) time.Duration {
	if d < time.Second {
		return d.Round(time.Millisecond)
	}
	return d.Round(100 * time.Millisecond)
}
