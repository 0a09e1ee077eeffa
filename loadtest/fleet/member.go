package fleet

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"spillway/loadtest"
	"spillway/loadtest/machine"
	"spillway/loadtest/trace"
)

// MemberConfig is how a generator joins.
type MemberConfig struct {
	// Fleet is that of the leader, "" for DefaultFleet; Name tells the members apart.
	Fleet, Name string
	// Folder is where the replayed file, the record and the tally are kept until the leader has
	// them. It exists, and nothing else uses it.
	Folder string
	// Open opens the source of the orders; file is where the replayed one is, "" for none.
	Open func(source json.RawMessage, run, file string) (trace.Source, error)
	// Limit measures what this generator can send, when its busiest second is worth it;
	// nil for never. It is called before the run begins.
	Limit func(ctx context.Context, busiest int64) (*loadtest.Limit, error)
	// Say tells people what happens, Show how the sending goes; nil for nobody.
	Say  func(text string)
	Show func(loadtest.Progress)
	Log  *slog.Logger
}

// Join is led through one run: it returns nil when the leader has everything, or ctx ended
// before anybody led it. Evidence tells that gifts were sent whose record is in the folder
// and nowhere else.
//
// Errors: ErrName, ErrAbandoned, the source's, the record's, the link's.
func Join(ctx context.Context, cfg MemberConfig, link Link) (evidence bool, err error) {
	if cfg.Fleet == "" {
		cfg.Fleet = DefaultFleet
	}
	if err := errors.Join(CheckName(cfg.Fleet), CheckName(cfg.Name)); err != nil {
		return false, err
	}
	f := &follower{cfg: cfg, link: link, id: newID(), ordered: make(chan struct{}), told: make(chan struct{}), halt: make(chan struct{}), free: make(chan struct{})}
	f.state.Phase = waiting
	return f.join(ctx)
}

// follower is a member, in its own eyes.
type follower struct {
	cfg  MemberConfig
	link Link
	id   string

	ordered chan struct{} // closed when it is to prepare
	told    chan struct{} // closed when it knows when to begin
	halt    chan struct{} // closed when no more rows are to be sent
	free    chan struct{} // closed when the leader lets it go

	mu       sync.Mutex
	leader   string // ID, "" before somebody leads it
	heard    time.Time
	orders   *Orders
	file     *os.File // the replayed one, while it arrives
	received int64
	beginsAt time.Time
	stopped  bool
	why      string // the leader's, for letting it go without everything
	state    state
}

// errGone says that the run is over for this member, whatever the reason.
var errGone = errors.New("let go")

func (f *follower) join(ctx context.Context) (evidence bool, err error) {
	ctx, leave := context.WithCancelCause(ctx)
	defer leave(nil)
	var under sync.WaitGroup
	defer under.Wait()
	answering, done := context.WithCancel(context.WithoutCancel(ctx))
	defer done()
	reachable := make(chan struct{})
	under.Go(func() {
		if err := f.link.Answer(answering, f.cfg.Fleet, f.cfg.Name, func() { close(reachable) }, f.reply); err != nil {
			leave(err)
		}
	})
	select {
	case <-reachable:
	case <-ctx.Done():
		return false, f.reason(ctx)
	}
	under.Go(func() { leave(f.attend(answering)) })
	f.say("waiting for a leader: spillway rehearse ... --generators N")
	select {
	case <-f.ordered:
	case <-ctx.Done():
		return false, f.reason(ctx)
	}
	err = f.work(ctx)
	f.mu.Lock()
	began := f.state.Phase == sending || f.state.Phase == ended
	if err != nil {
		f.state.Phase, f.state.Why = failed, err.Error()
	}
	f.mu.Unlock()
	if err == nil {
		f.say("done; the leader collects")
	}
	// Until the leader has what it wants to know: everything, or why there is nothing.
	<-ctx.Done()
	if err == nil || errors.Is(err, context.Canceled) {
		err = f.reason(ctx)
	}
	return began && err != nil, err
}

// reason is why ctx has ended: nil when the leader let it go with everything, or when
// nobody led it yet.
func (f *follower) reason(ctx context.Context) error {
	cause := context.Cause(ctx)
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case errors.Is(cause, errGone) && f.why == "":
		return nil
	case errors.Is(cause, errGone):
		return fmt.Errorf("%s: %w", f.why, ErrAbandoned)
	case errors.Is(cause, context.Canceled) && f.leader == "":
		return nil
	case errors.Is(cause, context.Canceled):
		return fmt.Errorf("stopped in the middle of run %q: %w", f.run(), cause)
	}
	return cause
}

// run is the name of the run; f.mu is held.
func (f *follower) run() string {
	if f.orders == nil {
		return ""
	}
	return f.orders.Run
}

// attend says hello until somebody leads this member, and then listens for the leader's
// silence. It returns why the member is to leave.
func (f *follower) attend(ctx context.Context) error {
	text, err := json.Marshal(hello{Protocol: protocol, Name: f.cfg.Name, ID: f.id, Machine: machine.Here()})
	if err != nil {
		return err
	}
	tick := time.NewTicker(helloEvery)
	defer tick.Stop()
	for {
		f.mu.Lock()
		led, silent := f.leader != "", time.Since(f.heard)
		f.mu.Unlock()
		switch {
		case !led:
			if err := f.link.Hello(ctx, f.cfg.Fleet, text); err != nil {
				f.cfg.Log.Warn("nobody hears that this generator is there; still trying", "error", err)
			}
		case silent > leaderSilentMost:
			return fmt.Errorf("no word from the leader for %v, it ended or lost the broker: %w", silent.Round(time.Second), ErrAbandoned)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-f.free:
			return errGone
		case <-tick.C:
		}
	}
}

func (f *follower) say(text string) {
	if f.cfg.Say != nil {
		f.cfg.Say(text)
	}
}

// work opens the source, sends the share and lays what the leader wants to read into
// the folder.
func (f *follower) work(ctx context.Context) error {
	f.mu.Lock()
	o := f.orders
	f.mu.Unlock()
	f.say(fmt.Sprintf("run %q: getting ready", o.Run))
	replayed := ""
	if o.File != nil {
		replayed = f.path(o.File.Name)
		if err := whole(replayed, o.File); err != nil {
			return err
		}
	}
	source, err := f.cfg.Open(o.Source, o.Run, replayed)
	if err != nil {
		return err
	}
	if hash := source.Hash(); hex.EncodeToString(hash[:]) != o.Hash {
		return fmt.Errorf("the source is another one here than the leader's: %w", ErrVersion)
	}
	var limit *loadtest.Limit
	tally, err := loadtest.RunShare(ctx, f.halt, loadtest.Config{
		Run: o.Run, Source: source, Copies: o.Copies, Speed: o.Speed, Target: o.Target, Credential: o.Credential, Record: f.path(whatRecord),
		Connections: o.Connections, Timeout: o.Timeout, Patience: o.Patience, Visits: o.Visits, Share: o.Share, Name: f.cfg.Name,
	}, loadtest.Deps{Log: f.cfg.Log, Show: f.show}, func(ctx context.Context, demand loadtest.Demand) (begins time.Time, err error) {
		if f.cfg.Limit != nil {
			if limit, err = f.cfg.Limit(ctx, demand.Busiest); err != nil {
				return begins, err
			}
		}
		f.enter(ready)
		select {
		case <-ctx.Done():
			return begins, ctx.Err()
		case <-f.told:
		}
		f.enter(sending)
		f.mu.Lock()
		defer f.mu.Unlock()
		now := time.Now()
		return now.Add(f.beginsAt.Sub(now)), nil // with the monotonic clock, which nobody sets
	})
	if err != nil {
		return err
	}
	tally.Limit = limit
	text, err := json.Marshal(tally)
	if err != nil {
		return err
	}
	if err := os.WriteFile(f.path(whatTally), text, 0o600); err != nil {
		return err
	}
	record, err := describe(f.path(whatRecord))
	if err != nil {
		return err
	}
	figures, err := describe(f.path(whatTally))
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.state.Record, f.state.Tally, f.state.Phase = record, figures, ended
	return nil
}

// path is that of a file in the folder, however the name came.
func (f *follower) path(name string) string { return filepath.Join(f.cfg.Folder, filepath.Base(name)) }

func (f *follower) enter(p phase) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.state.Phase = p
}

// show keeps the counts for the leader, and shows them here too.
func (f *follower) show(p loadtest.Progress) {
	f.mu.Lock()
	c := &f.state.Counts
	recent := c.Recent
	if p.Recent != "" && len(recent) < recentMax {
		recent = append(recent, p.Recent)
	}
	*c = loadtest.Counts{Sent: p.Sent, Accepted: p.Accepted, Refused: p.Refused, Unknown: p.Unknown, Waiting: p.Waiting, Recent: recent}
	f.mu.Unlock()
	if f.cfg.Show != nil && p.Phase != "" { // nothing happens until everybody begins
		f.cfg.Show(p)
	}
}
