package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"spillway/loadtest"
	"spillway/loadtest/compare"
)

// compareCommand holds two rehearsals against each other.
type compareCommand struct {
	A         string  `arg:"" type:"path" placeholder:"A.json" help:"The report to compare with, as --json wrote it."`
	B         string  `arg:"" type:"path" placeholder:"B.json" help:"The report that may be worse."`
	Tolerance percent `default:"10%" help:"What may differ without counting (${default}). A proof that broke always counts."`
	JSON      bool    `name:"json" help:"Print JSON in place of a table."`
}

// Help is shown by --help.
func (compareCommand) Help() string {
	return `Says what got worse and what got better from one rehearsal to the other, and by how much: answers, waits, ages of totals, charges, processor time and memory by role. Differences of a millisecond or less are noise. Compare rehearsals that asked for the same on the same machine; what differs is said.

Exit status: 0 when nothing got worse, 1 when something did, 2 when a file is no report.

Examples:
    spillway rehearse compare before.json after.json
    spillway rehearse compare before.json after.json --tolerance 25% --json`
}

// errNoReport says that a file is not what a rehearsal writes.
var errNoReport = errors.New("no report of a rehearsal; write one with: spillway rehearse --json FILE")

// Run compares; see Help for the exit status.
func (c *compareCommand) Run(p *process) error {
	worse, err := c.compare(p)
	if err != nil {
		fmt.Fprintf(p.stderr, "spillway rehearse compare: %v\n", err)
		return exitStatus(exitUsage)
	}
	if worse {
		return exitStatus(exitFailed)
	}
	return nil
}

func (c *compareCommand) compare(p *process) (worse bool, err error) {
	var reports [2]*loadtest.Report
	for i, path := range []string{c.A, c.B} {
		if reports[i], err = readReport(path); err != nil {
			return false, err
		}
	}
	found := compare.Compare(reports[0], reports[1], float64(c.Tolerance))
	if !c.JSON {
		return found.Worse, found.WriteTable(p.stdout)
	}
	text, err := json.MarshalIndent(found, "", "  ")
	if err != nil {
		return false, err
	}
	_, err = p.stdout.Write(append(text, '\n'))
	return found.Worse, err
}

// readReport reads what --json wrote.
func readReport(path string) (*loadtest.Report, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var r loadtest.Report
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("%s: %w: %w", path, errNoReport, err)
	}
	if r.Run == "" || r.Audit == nil {
		return nil, fmt.Errorf("%s: %w", path, errNoReport)
	}
	return &r, nil
}
