//go:build linux

package rig

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"spillway/deploy/onebox/postgres"
	"spillway/loadtest/wire"
)

// The roles a rig can run. Ledgers are numbered: see Ledger.
const (
	RoleUp       = "up"
	RoleBroker   = "broker"
	RolePostgres = "postgres"
	RoleIngest   = "ingest"
)

// Ledger names the n-th ledger process, from 1.
func Ledger(n int) string { return fmt.Sprintf("ledger-%d", n) }

const (
	// startWait bounds the start of a role: a first `up` runs initdb and every
	// migration, a broker reads its whole store after a crash.
	startWait = 2 * time.Minute
	// startPoll is how often a starting role is asked whether it is ready.
	startPoll = 50 * time.Millisecond
	// toolWait bounds migrate, secrets and verify, which may read a million donations twice.
	toolWait = 10 * time.Minute
	// stopGrace is how long an orderly end may take: the drain of a backlog.
	stopGrace = time.Minute
)

// Rig is one installation in a folder of its own: a private one (`up`) or the
// roles as processes. Its methods may be called from several goroutines, those of
// one role from one at a time.
type Rig struct {
	Dir string // everything of the rig, but for DataDir when that was moved
	// DataDir is where `up` keeps its data: below Dir unless changed before StartUp.
	DataDir string
	// Till says how the roles charge; nil starts none that do. Set before StartRoles.
	Till *Till
	// UpArgs are further flags of `up`. Set before StartUp.
	UpArgs []string
	// Wired leads every connection between two roles, and the donors', through a wire
	// that can be broken: see SetWeather. Set before StartRoles; `up` has no wires.
	Wired bool
	// Replicated has every role know of a standby beside Postgres: see StartStandby. Set
	// before StartRoles; there are no wires to Postgres then.
	Replicated bool
	programs   Programs

	address       string // of the donors' front door
	opsAddress    string // of `up` and ingest
	brokerAddress string
	// processorAddress is the simulator's.
	processorAddress string
	postgres         postgres.Binaries

	mu        sync.Mutex
	processes map[string]*Process // by role, the newest of each
	wires     map[link]*wire.Proxy
	// cluster is what StartCluster started; nil of one of each.
	cluster *cluster
}

// Programs are what a rig starts.
type Programs struct {
	Spillway string // path of the product's binary
	// NATSServer is the path of a stock broker; "" runs the one inside of Spillway.
	NATSServer string
}

// New makes a rig in a new temporary folder that also Postgres' own user may
// enter. It starts nothing.
func New(programs Programs) (*Rig, error) {
	dir, err := os.MkdirTemp("", "spillway-rig-")
	if err != nil {
		return nil, err
	}
	r := &Rig{Dir: dir, DataDir: filepath.Join(dir, "data"), programs: programs, processes: map[string]*Process{}, wires: map[link]*wire.Proxy{}}
	err = errors.Join(os.Chmod(dir, 0o755), os.Mkdir(r.LogPath(""), 0o755))
	for _, address := range []*string{&r.address, &r.opsAddress, &r.brokerAddress, &r.processorAddress} {
		var addressErr error
		*address, addressErr = FreeAddress()
		err = errors.Join(err, addressErr)
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return r, nil
}

// Close kills everything the rig started, and what that started, and removes the
// folder unless keep is set.
func (r *Rig) Close(keep bool) error {
	var err error
	// Twice: the first pass ends supervisors, the second what they were starting.
	for range 2 {
		for _, dir := range []string{r.Dir, r.DataDir} {
			family, familyErr := Family(dir)
			err = errors.Join(err, familyErr, KillAll(family...))
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.processes {
		err = errors.Join(err, p.gone())
	}
	for _, w := range r.wires {
		err = errors.Join(err, w.Close())
	}
	clear(r.wires)
	if keep {
		return err
	}
	return errors.Join(err, os.RemoveAll(r.Dir))
}

// URL is the donors' front door, behind a wire where there are any.
func (r *Rig) URL() string {
	if r.cluster != nil {
		return "http://" + r.cluster.door
	}
	if w := r.wire(link{donors, RoleIngest}); w != nil {
		return "http://" + w.Address()
	}
	return r.directURL()
}

func (r *Rig) directURL() string { return "http://" + r.address }

// OpsURL is the metrics' address of `up` or ingest.
func (r *Rig) OpsURL() string { return "http://" + r.opsAddress }

// Programs are what the rig starts.
func (r *Rig) Programs() Programs { return r.programs }

// Use has the rig start these programs from now on; what runs goes on. Not while
// something is being started.
func (r *Rig) Use(p Programs) { r.programs = p }

// LogPath is the file of what a role, or a tool, says.
func (r *Rig) LogPath(role string) string { return filepath.Join(r.Dir, "logs", role) }

// Secrets is the installation's secrets file, where the roles are processes of their own.
func (r *Rig) Secrets() string { return filepath.Join(r.Dir, "secrets.json") }

// Process is the newest process of a role. Errors: none was started.
func (r *Rig) Process(role string) (*Process, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p, ok := r.processes[role]
	if !ok {
		return nil, fmt.Errorf("%s was never started", role)
	}
	return p, nil
}

// Roles lists the roles that were started, in order of their names.
func (r *Rig) Roles() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var roles []string
	for role := range r.processes {
		roles = append(roles, role)
	}
	slices.Sort(roles)
	return roles
}

// Kill is kill -9 of a role, and of nothing that it started.
func (r *Rig) Kill(role string) error {
	p, err := r.Process(role)
	if err != nil {
		return err
	}
	return p.Kill()
}

// Pause freezes a role; Resume lets it go on.
func (r *Rig) Pause(role string) error {
	p, err := r.Process(role)
	if err != nil {
		return err
	}
	return p.Pause()
}

// Resume lets a paused role go on.
func (r *Rig) Resume(role string) error {
	p, err := r.Process(role)
	if err != nil {
		return err
	}
	return p.Resume()
}

// start starts one of the role's programs, its output in the rig's logs.
func (r *Rig) start(role, program string, args ...string) error {
	return r.startCommand(Command{Name: role, Path: program, Args: args, Log: r.LogPath(role)})
}

func (r *Rig) startCommand(c Command) error {
	p, err := r.Begin(c)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.processes[c.Name] = p
	return nil
}

// Begin starts a process that belongs to the rig's family, with all its children.
func (r *Rig) Begin(c Command) (*Process, error) {
	c.Env = append(c.Env, "RIG="+r.Dir) // see Family
	return Start(c)
}

// Until asks again and again until the role is as wanted, and fails when the
// process ends or startWait is over.
func (r *Rig) Until(ctx context.Context, role, wanted string, ask func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, startWait)
	defer cancel()
	p, err := r.Process(role)
	if err != nil {
		return err
	}
	tick := time.NewTicker(startPoll)
	defer tick.Stop()
	for {
		err := ask(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.Done():
			return fmt.Errorf("%s ended with status %d before it could %s; its log ends:\n%s", role, p.ExitCode(), wanted, p.Tail())
		case <-ctx.Done():
			return fmt.Errorf("%s does not %s: %w; its log ends:\n%s", role, wanted, err, p.Tail())
		case <-tick.C:
		}
	}
}

// tool runs the product's binary to its end.
func (r *Rig) tool(ctx context.Context, name string, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, toolWait)
	defer cancel()
	p, err := r.Begin(Command{Name: name, Path: r.programs.Spillway, Args: args, Log: r.LogPath(name)})
	if err != nil {
		return err
	}
	if err := p.Wait(ctx); err != nil {
		return errors.Join(fmt.Errorf("%w; its log ends:\n%s", err, p.Tail()), p.Kill())
	}
	return nil
}

// Get asks for a page and wants 200.
func Get(ctx context.Context, url string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: %s: %s", url, response.Status, body)
	}
	return body, err
}
