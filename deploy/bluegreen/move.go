// Package bluegreen moves donors from one version of the front-ends to another behind
// HAProxy, by steps, and back when the new one misbehaves.
//
// The one invariant: whenever it ends, by success, by a level that broke, by abort or
// by a failure, the weights it leaves behind send donors to one colour that was seen
// to work; killed, it leaves the last step's weights, and the same command finishes.
package bluegreen

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"spillway/deploy/haproxy"
	"spillway/ledger/backoff"
)

// Defaults of Config.
const (
	// DefaultEvery is how long each step is watched: some thousands of donations on a
	// giving day, and six of Prometheus' usual readings.
	DefaultEvery = 30 * time.Second
	// DefaultErrors is the share of failed requests that ends a move: a tenth of what
	// an alert would page for.
	DefaultErrors = 0.001
	// DefaultSlower and slowerLeast: the new colour's p99 of donating may be half above the
	// old one's, or 5 ms where that is more.
	DefaultSlower = 0.5
	slowerLeast   = 5 * time.Millisecond
	// DefaultRequests is the least that must have gone to the new colour in a step
	// before it is judged well.
	DefaultRequests = 100
	// patience is how many times Every a step waits for so many.
	patience = 10
	// lookEvery is the time between two looks at the proxy.
	lookEvery = 250 * time.Millisecond
	// returnTimeout bounds the way back, which is taken whatever ended the move.
	returnTimeout = 30 * time.Second
)

// DefaultSteps are shares of the new colour, in hundredths.
var DefaultSteps = []int{1, 5, 25, 50, 100}

// weightFull is the weight of a server that has its whole share.
const weightFull = 100

// Config is one move from a colour to another. Servers belong to a colour by their
// names: blue-1 to blue.
type Config struct {
	From, To string
	Steps    []int         // rising, to 100; nil means DefaultSteps
	Every    time.Duration // 0 means DefaultEvery
	Errors   float64       // share, 0 means DefaultErrors
	Slower   float64       // share, 0 means DefaultSlower
	Requests int64         // 0 means DefaultRequests; negative judges without any
	// Check is asked before the first step and after every one, such as a proof that what the
	// new colour's servers accept arrives in the books; nil for no check.
	Check func(ctx context.Context, servers []haproxy.Server) error
	// Confirm is asked before every step but the first; nil goes on.
	Confirm func(ctx context.Context, share int) error
	// Say tells people; nil for nobody.
	Say func(format string, args ...any)
}

var (
	// ErrConfig says that a move cannot be begun as it was asked for.
	ErrConfig = errors.New("bad move")
	// ErrReturned says that donors are at the old colour again; the reason is beside it.
	ErrReturned = errors.New("returned")
	// ErrStuck says that neither colour holds: the weights could not be set back.
	ErrStuck = errors.New("could not return: set the weights by hand")
)

func (c *Config) fill() error {
	if c.Steps == nil {
		c.Steps = DefaultSteps
	}
	if c.Every == 0 {
		c.Every = DefaultEvery
	}
	if c.Errors == 0 {
		c.Errors = DefaultErrors
	}
	if c.Slower == 0 {
		c.Slower = DefaultSlower
	}
	if c.Requests == 0 {
		c.Requests = DefaultRequests
	}
	if c.Say == nil {
		c.Say = func(string, ...any) {}
	}
	rising := slices.IsSorted(c.Steps) && len(slices.Compact(slices.Clone(c.Steps))) == len(c.Steps)
	switch {
	case c.From == "" || c.To == "" || c.From == c.To:
		return fmt.Errorf("from %q to %q: two colours are needed: %w", c.From, c.To, ErrConfig)
	case len(c.Steps) == 0 || !rising || c.Steps[0] < 1 || c.Steps[len(c.Steps)-1] != 100:
		return fmt.Errorf("steps %v: they rise, from 1 at least, to 100: %w", c.Steps, ErrConfig)
	case c.Every < 0 || c.Errors < 0 || c.Errors > 1 || c.Slower < 0:
		return fmt.Errorf("every %v, errors %g, slower %g: %w", c.Every, c.Errors, c.Slower, ErrConfig)
	}
	return nil
}

// colour is the servers of one colour, summed up.
type colour struct {
	servers          []haproxy.Server
	times            times // nil when the proxy counts none
	down             []string
	requests, errors int64
	response         time.Duration // the slowest server's mean
}

// look reads a colour's servers. Errors: haproxy.ErrProxy, ErrConfig when there are none.
func look(ctx context.Context, p haproxy.Socket, name string) (colour, error) {
	all, err := p.Servers(ctx)
	if err != nil {
		return colour{}, err
	}
	t, err := timesOf(ctx, p)
	if err != nil {
		return colour{}, err
	}
	c := colour{times: of(t, name)}
	for _, s := range all {
		if !strings.HasPrefix(s.Name, name+"-") {
			continue
		}
		c.servers = append(c.servers, s)
		if !s.Up {
			c.down = append(c.down, s.Backend+"/"+s.Name)
		}
		c.requests, c.errors, c.response = c.requests+s.Requests, c.errors+s.Errors, max(c.response, s.Response)
	}
	if len(c.servers) == 0 {
		return colour{}, fmt.Errorf("no server of the proxy is named %s-...: %w", name, ErrConfig)
	}
	return c, nil
}

// Move moves donors from one colour to the other. It begins at the weights that are
// there: a new start goes through all steps again. Nothing is moved until every server of
// both colours is up. The end of ctx aborts: donors return to the old colour.
//
// Errors: ErrConfig and haproxy.ErrProxy before anything was moved; ErrReturned with its
// reason; ErrStuck.
func Move(ctx context.Context, p haproxy.Socket, cfg Config) error {
	if err := cfg.fill(); err != nil {
		return err
	}
	var begun times // of the old colour, before anything was moved
	var servers []haproxy.Server
	for _, name := range []string{cfg.From, cfg.To} {
		c, err := look(ctx, p, name)
		if err != nil {
			return err
		}
		if len(c.down) > 0 {
			return fmt.Errorf("%s of %s not up: %w", strings.Join(c.down, ", "), name, ErrConfig)
		}
		if name == cfg.From {
			begun = c.times
			continue
		}
		// One entry for each server of the new colour, though it stands in several backends.
		for _, s := range c.servers {
			if !slices.ContainsFunc(servers, func(other haproxy.Server) bool { return other.Name == s.Name }) {
				servers = append(servers, s)
			}
		}
	}
	if begun == nil {
		cfg.Say("the proxy has no table %s (deploy/haproxy): answers' mean is judged, not their p99", answerTimes)
	}
	check := func() error {
		if cfg.Check == nil {
			return nil
		}
		return cfg.Check(ctx, servers)
	}
	// A colour that loses what it accepts is found before the first donor comes to it.
	if reason := check(); reason != nil {
		return giveBack(ctx, p, &cfg, reason)
	}
	for i, share := range cfg.Steps {
		reason := error(nil)
		if i > 0 && cfg.Confirm != nil {
			reason = cfg.Confirm(ctx, share)
		}
		if reason == nil {
			reason = step(ctx, p, &cfg, share, begun)
		}
		if reason == nil {
			reason = check()
		}
		if reason != nil {
			return giveBack(ctx, p, &cfg, reason)
		}
	}
	cfg.Say("all donors are at %s; %s gets none and may be stopped when its streams have ended", cfg.To, cfg.From)
	return nil
}

// giveBack returns all donors to the old colour, whatever became of ctx.
func giveBack(ctx context.Context, p haproxy.Socket, cfg *Config, reason error) error {
	if ctx.Err() != nil && errors.Is(reason, ctx.Err()) {
		reason = errors.New("aborted")
	}
	cfg.Say("%v: back to %s", reason, cfg.From)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), returnTimeout)
	defer cancel()
	for {
		err := share(ctx, p, cfg, 0)
		if err == nil {
			return fmt.Errorf("%w to %s: %w", ErrReturned, cfg.From, reason)
		}
		if !backoff.Pause(ctx, lookEvery) {
			return fmt.Errorf("%w: %w; the move had ended because of: %w", ErrStuck, err, reason)
		}
	}
}

// share gives the new colour its hundredths, and the old one the rest. The colour that
// gains is set first, so that at no moment both have nothing.
func share(ctx context.Context, p haproxy.Socket, cfg *Config, hundredths int) error {
	set := func(name string, weight int) error {
		c, err := look(ctx, p, name)
		if err != nil {
			return err
		}
		for _, s := range c.servers {
			if s.Weight == weight {
				continue
			}
			if err := p.Weigh(ctx, s, weight); err != nil {
				return err
			}
		}
		return nil
	}
	to, from := weightFull*hundredths/100, weightFull*(100-hundredths)/100
	if hundredths == 0 {
		return errors.Join(set(cfg.From, from), set(cfg.To, to))
	}
	if err := set(cfg.To, to); err != nil {
		return err
	}
	return set(cfg.From, from)
}

// step moves one share and watches it. It returns why the move cannot go on.
func step(ctx context.Context, p haproxy.Socket, cfg *Config, hundredths int, begun times) error {
	before, err := look(ctx, p, cfg.To)
	if err != nil {
		return err
	}
	if err := share(ctx, p, cfg, hundredths); err != nil {
		return err
	}
	cfg.Say("%d %% of donors at %s", hundredths, cfg.To)
	moved := time.Now()
	for {
		if !backoff.Pause(ctx, min(lookEvery, cfg.Every)) {
			return ctx.Err()
		}
		now, err := look(ctx, p, cfg.To)
		if err != nil {
			return err
		}
		if len(now.down) > 0 {
			return fmt.Errorf("%s went down", strings.Join(now.down, ", "))
		}
		requests, failed := now.requests-before.requests, now.errors-before.errors
		if requests < 0 || failed < 0 {
			return errors.New("the proxy was started anew and counts from zero")
		}
		// One error of a handful says little; one allowed error's worth of requests, and
		// one more error than allowed, says enough before the step's time is over.
		if float64(failed) > max(1, cfg.Errors*float64(requests)) && float64(failed) > cfg.Errors*float64(max(requests, cfg.Requests)) {
			return fmt.Errorf("%d of %d requests to %s failed, %.2f %% are allowed", failed, requests, cfg.To, 100*cfg.Errors)
		}
		old, err := look(ctx, p, cfg.From)
		if err != nil {
			return err
		}
		// At 100 the old colour answers nobody: its times are of the move up to then.
		was, is := old.times.since(begun), now.times.since(before.times)
		byTimes := min(was.all(), is.all()) >= max(cfg.Requests, 1)
		if byTimes {
			if n, bound, bad := is.slow(was, cfg.Slower); bad {
				return fmt.Errorf("%d of %d donations at %s took longer than %v, 1 %% may (p99 of %s: up to %v)", n, is.all(), cfg.To, bound, cfg.From, was.p99())
			}
		}
		if time.Since(moved) < cfg.Every {
			continue
		}
		if requests < cfg.Requests {
			if time.Since(moved) < patience*cfg.Every {
				continue
			}
			return fmt.Errorf("only %d requests came to %s in %v, %d are needed to judge it", requests, cfg.To, time.Since(moved).Round(time.Second), cfg.Requests)
		}
		var took string
		if byTimes {
			took = fmt.Sprintf("p99 of donating within %v (%s: %v)", is.p99(), cfg.From, was.p99())
		} else {
			// No such table, or too few donations among the requests.
			allowed := old.response + max(time.Duration(cfg.Slower*float64(old.response)), slowerLeast)
			if now.response > allowed {
				return fmt.Errorf("%s answers in %v in the mean, %v are allowed (%s: %v)", cfg.To, now.response, allowed, cfg.From, old.response)
			}
			took = fmt.Sprintf("%v in the mean (%s: %v)", now.response, cfg.From, old.response)
		}
		if failed > 0 && float64(failed) > cfg.Errors*float64(requests) {
			return fmt.Errorf("%d of %d requests to %s failed, %.2f %% are allowed", failed, requests, cfg.To, 100*cfg.Errors)
		}
		cfg.Say("%d requests, %d failed, %s: well", requests, failed, took)
		return nil
	}
}
