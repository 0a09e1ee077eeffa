package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"

	"spillway/deploy/onebox"
	"spillway/loadtest/machine"
)

// Roles of an `up`, as the timeline names them.
const (
	upRole       = "spillway up"
	postgresRole = "postgres"
)

// roles lists the processes of the `up` in the data folder as they are now: it may be
// killed in the middle of a rehearsal, and come back as another one. None when it does
// not run, and none of an installation that is elsewhere.
func (a *place) roles() []machine.Role {
	if a.data == "" {
		return nil
	}
	run, err := onebox.ReadRun(a.data)
	if err != nil {
		return nil
	}
	all := []machine.Role{{Name: upRole, PID: run.PID}}
	// The first line is the postmaster's number (postgresql.org/docs, "Database File Layout").
	text, err := os.ReadFile(filepath.Join(a.data, "postgres", "postmaster.pid"))
	if err != nil {
		return all // a database that was named
	}
	first, _, _ := bytes.Cut(text, []byte{'\n'})
	if pid, err := strconv.Atoi(string(bytes.TrimSpace(first))); err == nil && pid > 0 {
		all = append(all, machine.Role{Name: postgresRole, PID: pid, Children: true})
	}
	return all
}

// operators is where the `up` in the data folder has its metrics.
func (a *place) operators() func() (string, error) {
	if a.data == "" {
		return nil
	}
	return func() (string, error) {
		run, err := onebox.ReadRun(a.data)
		return run.OpsURL, err
	}
}
