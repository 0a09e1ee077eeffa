package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"spillway/cmd/spillway/internal/config"
	"spillway/cmd/spillway/internal/lifecycle"
	"spillway/ingest/broker"
	"spillway/loadtest"
	"spillway/loadtest/fleet"
	"spillway/loadtest/trace"
)

// fleetFlags are those of a rehearsal that others send a part of, and of the generator's
// own limit.
type fleetFlags struct {
	Generators int           `default:"1" placeholder:"N" help:"Generators that share the load, this one included. The others are started on other machines by 'spillway rehearse join'; this one waits for them, and judges all records together."`
	Fleet      string        `default:"default" placeholder:"NAME" help:"What the other generators join; only for several rehearsals over one broker at a time."`
	JoinWithin time.Duration `default:"2m" placeholder:"D" help:"How long the other generators may take to come (${default})."`
	OwnLimit   string        `default:"auto" enum:"auto,on,off" placeholder:"WHEN" help:"Measure beforehand, for a second, what this machine can send at most. auto: when the busiest second asks for 2,000 or more."`
}

// sourceWords say to another generator how to open the source.
type sourceWords struct {
	Replayed  bool          `json:"replayed,omitempty"`
	Speed     float64       `json:"speed"`
	Copies    int           `json:"copies"`
	Donors    float64       `json:"donors"`
	Gifts     int64         `json:"gifts,omitempty"`
	Rate      float64       `json:"rate,omitempty"`
	Shape     string        `json:"shape,omitempty"`
	For       time.Duration `json:"for_ns,omitempty"`
	Campaigns int           `json:"campaigns,omitempty"`
	Seed      uint64        `json:"seed,omitempty"`
	Hot       float64       `json:"hot,omitempty"`
	Baskets   float64       `json:"baskets,omitempty"`
}

func (c *rehearseRunCommand) words() sourceWords {
	return sourceWords{Replayed: c.Replay != "", Speed: c.Speed, Copies: c.Copies, Donors: c.Donors, Gifts: c.Gifts, Rate: c.Rate, Shape: c.Shape, For: c.For, Campaigns: c.Campaigns,
		Seed: c.Seed, Hot: float64(c.Hot), Baskets: float64(c.Baskets)}
}

// openWords opens the source that the words of another generator mean; replayed is where
// the file came to.
func openWords(text json.RawMessage, run, replayed string) (trace.Source, error) {
	var w sourceWords
	if err := json.Unmarshal(text, &w); err != nil {
		return nil, err
	}
	if w.Replayed != (replayed != "") {
		return nil, errors.New("the orders and the file that came with them do not agree")
	}
	c := rehearseRunCommand{RunName: run, Replay: replayed, Speed: w.Speed, Copies: w.Copies, Donors: w.Donors, Gifts: w.Gifts, Rate: w.Rate, Shape: w.Shape, For: w.For, Campaigns: w.Campaigns}
	c.Seed, c.Hot, c.Baskets = w.Seed, percent(w.Hot), percent(w.Baskets)
	source, _, err := c.source()
	return source, err
}

// orders are what the other generators have to know, beside the source and the flags.
type orders struct{ run, target, credential, speed string }

// led is a rehearsal's other generators, and what this one can send itself.
type led struct {
	leader  *fleet.Leader // nil without others
	group   *lifecycle.Group
	log     *slog.Logger
	count   int
	limit   *loadtest.Limit
	busiest int64
}

// busiestRowsMost bounds the sources whose busiest second is counted by reading them: some
// ten seconds. Of a larger one the mean is taken.
const busiestRowsMost = 1 << 26

// partInfix stands in the name of another generator's record, between that of the run's and
// its member. The report's page beside a record has nothing like it.
const partInfix = ".from-"

// fits says what does not go together with several generators.
func (c *rehearseRunCommand) fits() error {
	switch {
	case c.Generators < 1 || c.Generators > loadtest.GeneratorsMax:
		return fmt.Errorf("--generators %d: 1 to %d are possible", c.Generators, loadtest.GeneratorsMax)
	case c.Generators > 1 && c.Resume:
		return errors.New("--resume and --generators do not go together: a run of several generators is sent in one go")
	case c.Generators > 1 && (c.Break != "" || !c.plan.Empty()):
		return errors.New("--break and --generators do not go together: the plan breaks the broker over which the generators are led")
	}
	return nil
}

// lead measures this generator and gathers the others.
func (c *rehearseRunCommand) lead(p *process, s *screen, at *place, source trace.Source, o orders) (l *led, err error) {
	l = &led{log: p.log, count: c.Generators}
	record := c.recordPath(at.data)
	if parts, _ := filepath.Glob(record + partInfix + "*"); len(parts) > 0 { // the pattern is well-formed
		return nil, fmt.Errorf("run %q was sent by several generators (%s is of one of them): only their records together are its record; name another run with --run", c.RunName, parts[0])
	}
	demand := loadtest.Demand{Rows: source.Rows(), Busiest: int64(float64(source.Rows()) / max(1, source.Span().Seconds()))}
	if source.Rows() <= busiestRowsMost {
		if demand, err = loadtest.DemandOf(source, l.share()); err != nil {
			return nil, err
		}
	}
	l.busiest = demand.Busiest
	if l.limit, err = ownLimit(p.ctx, s, c.OwnLimit, c.Connections, l.busiest); err != nil {
		return nil, err
	}
	if !l.limit.Ample(l.busiest) {
		s.line(fmt.Sprintf("Careful: this machine can send %.0f requests/s, and the busiest second asks for %d; share the load: --generators %d",
			l.limit.Rate, l.busiest, l.limit.Generators(l.busiest)*c.Generators))
	}
	if c.Generators == 1 {
		return l, nil
	}
	defer func() {
		if err != nil {
			l.end(err)
		}
	}()
	return l, c.gather(p, s, at, source, o, record, l)
}

// gather connects to the installation's broker and waits there for the others.
func (c *rehearseRunCommand) gather(p *process, s *screen, at *place, source trace.Source, o orders, record string, l *led) error {
	where, err := at.find()
	if err != nil {
		return err
	}
	if where.nats == "" {
		return fmt.Errorf("--generators: the generators meet over the broker: this one %w", errNoBroker)
	}
	words, err := json.Marshal(c.words())
	if err != nil {
		return err
	}
	hash := source.Hash()
	run := fleet.Orders{Run: o.run, Target: o.target, Credential: o.credential, Speed: o.speed, Source: words, Hash: hex.EncodeToString(hash[:]),
		Copies: copies(source), Connections: c.Connections, Timeout: c.Timeout, Patience: c.Patience, Visits: c.visitors()}
	if c.Replay != "" {
		if run.File, err = fleet.Describe(c.Replay); err != nil {
			return err
		}
	}
	named := c.Broker
	named.NATSURL = config.Secret(where.nats)
	l.group = lifecycle.New(p.log)
	link, err := linkTo(p, l.group, named, "spillway rehearse")
	if err != nil {
		return err
	}
	if at.data != "" {
		s.line("The other generators join with: spillway rehearse join --data " + quoted(at.data) + "\nor, from other machines: spillway rehearse join --nats-url nats://...")
	} else {
		s.line("The other generators join with: spillway rehearse join --nats-url " + quoted(publicURL(where.nats)))
	}
	l.leader, err = fleet.Gather(p.ctx, fleet.Config{Fleet: c.Fleet, Generators: c.Generators, Within: c.JoinWithin, Orders: run, File: c.Replay,
		Beside: func(member string) string { return record + partInfix + member }, Say: s.say, Log: p.log}, link)
	return err
}

// linkTo connects to the broker over which generators talk.
func linkTo(p *process, group *lifecycle.Group, at config.Broker, name string) (fleet.Link, error) {
	ctx, cancel := context.WithTimeout(p.ctx, verifyConnect)
	defer cancel()
	b, err := broker.Connect(ctx, as(broker.RoleGenerator, brokerAt(at, config.Topology{Replicas: 1}, nil, name)), p.log)
	if err != nil {
		return nil, err
	}
	group.Add(name+" connection", connectionStop, func() { logClose(p.log, b) })
	return fleetLink{b}, nil
}

// fleetLink is the broker as generators talk over it.
type fleetLink struct{ b *broker.Broker }

func (l fleetLink) Hello(ctx context.Context, name string, message []byte) error {
	return l.b.HelloGenerator(ctx, name, message)
}

func (l fleetLink) Hear(ctx context.Context, name string, handle func([]byte)) error {
	return l.b.WatchGenerators(ctx, name, handle)
}

func (l fleetLink) Ask(ctx context.Context, name, member string, question []byte) ([]byte, error) {
	text, err := l.b.AskGenerator(ctx, name, member, question)
	if errors.Is(err, broker.ErrNoGenerator) {
		return nil, fmt.Errorf("%w: %w", fleet.ErrAbsent, err)
	}
	return text, err
}

func (l fleetLink) Answer(ctx context.Context, name, member string, ready func(), reply func([]byte) []byte) error {
	return l.b.ServeGenerator(ctx, name, member, ready, reply)
}

// share is this generator's part: the first.
func (l *led) share() loadtest.Share { return loadtest.Share{Of: l.count} }

// fleet is the others for the rehearsal, nil without any.
func (l *led) fleet() loadtest.Fleet {
	if l.leader == nil {
		return nil
	}
	return l.leader
}

// end lets the others go; why is nil when all went well.
func (l *led) end(why error) {
	if l.leader != nil {
		l.leader.Close(why)
	}
	if l.group != nil {
		if err := l.group.Stop(); err != nil {
			l.log.Debug("close the generators' connection", "error", err)
		}
	}
}
