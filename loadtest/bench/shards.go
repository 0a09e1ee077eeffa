package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// shardsMost is up to how many shards, with a ledger process each, are measured: the
// project's bar is about three against one.
const shardsMost = 3

// shardLoad is what each shard is given in donations per second when costs are compared
// at the same load for each: three times it is well within two cores.
const shardLoad = 2000

// shards measures what a donation costs, the whole way, with one, two and three shards and
// as many ledger processes, in turn: CPU of the front-end and the broker, of the ledgers
// and of Postgres. First with the same load for each shard, which is what shards are added
// for; then with all that this machine carries, and what bounds that.
//
// All of it runs on this machine, so more shards do not make it faster here: at its most
// they share what one has alone, in smaller batches.
func (b *bench) shards(ctx context.Context, hooks Hooks) error {
	for i := range b.Repeats {
		order := []int{1, 2, 3}
		if i%2 == 1 { // each is as often the first as the last
			slices.Reverse(order)
		}
		cpu, scaled := map[int]float64{}, map[int]float64{}
		for _, n := range order {
			c, err := b.sharded(ctx, hooks, filepath.Join(b.dir, fmt.Sprintf("shards%d-%d", i, n)), n)
			if err != nil {
				return fmt.Errorf("%d shards: %w", n, err)
			}
			cpu[n], scaled[n] = c.all(), c.scaled.all()
			name := func(figure string) string { return fmt.Sprintf("shards_%d_%s", n, figure) }
			r := b.report
			r.add(name("scaled_cpu_us"), c.scaled.all())
			r.add(name("scaled_front_end_and_broker_cpu_us"), c.scaled.frontEnd)
			r.add(name("scaled_ledgers_cpu_us"), c.scaled.ledgers)
			r.add(name("scaled_postgres_cpu_us"), c.scaled.postgres)
			r.add(name("per_second"), c.recorded)
			r.add(name("cpu_us"), c.all())
			r.add(name("front_end_and_broker_cpu_us"), c.frontEnd)
			r.add(name("ledgers_cpu_us"), c.ledgers)
			r.add(name("postgres_cpu_us"), c.postgres)
			r.add(name("machine_busy_percent"), c.busyPercent)
			r.add(name("drained_after_s"), c.backlog.Seconds())
			r.add(name("least_share_of_a_ledger_percent"), c.leastPercent)
			r.add(name("refused"), float64(c.wrk.Refused+c.wrk.Errors))
			b.say("shards %d/%d: %d shards and ledgers at %d/s: CPU %.1f us (front-end and broker %.1f, ledgers %.1f, Postgres %.1f)", i+1, b.Repeats,
				n, n*shardLoad, c.scaled.all(), c.scaled.frontEnd, c.scaled.ledgers, c.scaled.postgres)
			b.say("shards %d/%d: %d shards and ledgers at their most: %.0f/s, CPU %.1f us (front-end and broker %.1f, ledgers %.1f, Postgres %.1f); bound by %s", i+1, b.Repeats,
				n, c.recorded, c.all(), c.frontEnd, c.ledgers, c.postgres, c.bound())
		}
		for n := 2; n <= shardsMost; n++ {
			b.report.add(fmt.Sprintf("shards_%d_scaled_cpu_over_one", n), scaled[n]/scaled[1])
			b.report.add(fmt.Sprintf("shards_%d_cpu_over_one", n), cpu[n]/cpu[1])
		}
	}
	return nil
}

// donationCost is CPU in microseconds for each recorded donation.
type donationCost struct{ frontEnd, ledgers, postgres float64 }

func (c donationCost) all() float64 { return c.frontEnd + c.ledgers + c.postgres }

// shardCost is what one installation cost, at its most where nothing else is said.
type shardCost struct {
	run
	donationCost
	scaled       donationCost // at shardLoad for each shard
	busyPercent  float64      // of all CPUs of the machine, while donations were given
	leastPercent float64      // of the donations, by the ledger that recorded the fewest
}

const (
	// busyMost is from where on the machine's CPUs are what bounds a rate.
	busyMost = 90
	// backlogMost is up to where a ledger kept up: some batches.
	backlogMost = 2 * time.Second
)

// bound names the ceiling of a rate.
func (c shardCost) bound() string {
	switch {
	case c.busyPercent >= busyMost:
		return fmt.Sprintf("the machine's CPUs (%.0f %% busy, the generator's part included)", c.busyPercent)
	case c.backlog > backlogMost:
		return fmt.Sprintf("the ledgers or Postgres (%.1f s behind at the end, CPUs %.0f %% busy)", c.backlog.Seconds(), c.busyPercent)
	default:
		return fmt.Sprintf("the broker's disk: each acknowledgement waits for it (CPUs %.0f %% busy)", c.busyPercent)
	}
}

// sharded measures a fresh installation with n shards and n ledgers.
func (b *bench) sharded(ctx context.Context, hooks Hooks, data string, n int) (c shardCost, err error) {
	shards := strconv.Itoa(n)
	s, err := b.up(ctx, hooks, data, manyCampaigns, "--no-ledger", "--no-payments", "--no-admin", "--shards", shards)
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, s.stop(), os.RemoveAll(data)) }()
	var ledgers []*process
	defer func() {
		for _, l := range ledgers {
			err = errors.Join(err, l.stop())
		}
	}()
	for range n {
		ops, err := freeAddress()
		if err != nil {
			return c, err
		}
		l, err := start(b.dir, "ledger", "http://"+ops, "ledger", "--nats-url", s.Nats, "--database-url", s.Database, "--ops-listen", ops, "--shards", shards)
		if err != nil {
			return c, err
		}
		ledgers = append(ledgers, l)
		if err := l.ready(ctx, "/readyz"); err != nil {
			return c, err
		}
	}
	db, err := pgx.Connect(ctx, s.Database)
	if err != nil {
		return c, err
	}
	defer db.Close(ctx)
	if _, err := db.Exec(ctx, "checkpoint"); err != nil {
		return c, err
	}
	// What a first second of a process costs is no donation's.
	if _, err := b.endToEnd(ctx, s, manyCampaigns, warmFor); err != nil {
		return c, err
	}
	if c.scaled, err = b.scaled(ctx, hooks, data, s, ledgers); err != nil {
		return c, err
	}
	before, err := b.spent(s, ledgers)
	if err != nil {
		return c, err
	}
	machine, err := readMachineCPU()
	if err != nil {
		return c, err
	}
	var machineErr error
	var end machineCPU
	if c.run, err = b.endToEndThen(ctx, s, manyCampaigns, 2*b.Short, func() { end, machineErr = readMachineCPU() }); err != nil {
		return c, errors.Join(err, machineErr)
	}
	after, err := b.spent(s, ledgers)
	if err = errors.Join(err, machineErr); err != nil {
		return c, err
	}
	c.donationCost = after.since(before, c.wrk.good())
	c.busyPercent = end.busyPercentSince(machine)
	return c, db.QueryRow(ctx, `select 100.0 * min(n) / sum(n) from (select sum(donations)::float8 n from rehearsal.slots group by slot) s`).Scan(&c.leastPercent)
}

// scaled offers each shard the same load.
func (b *bench) scaled(ctx context.Context, hooks Hooks, data string, s *service, ledgers []*process) (c donationCost, err error) {
	before, err := b.spent(s, ledgers)
	if err != nil {
		return c, err
	}
	got, err := hooks.Rehearse(ctx, data, len(ledgers)*shardLoad, 2*b.Short)
	if err != nil {
		return c, err
	}
	if !got.Proven {
		return c, errors.New("the rehearsal's proof did not hold")
	}
	after, err := b.spent(s, ledgers)
	return after.since(before, got.Acknowledged), err
}

// warmFor is how long processes are warmed up.
const warmFor = 2 * time.Second

// spent is CPU time since the processes began.
type spent struct{ frontEnd, ledgers, postgres time.Duration }

// since is what each of so many donations cost.
func (s spent) since(before spent, donations int64) donationCost {
	return donationCost{
		frontEnd: perDonation(s.frontEnd-before.frontEnd, donations), ledgers: perDonation(s.ledgers-before.ledgers, donations),
		postgres: perDonation(s.postgres-before.postgres, donations),
	}
}

func (b *bench) spent(s *service, ledgers []*process) (all spent, err error) {
	all.frontEnd = s.usage().cpu
	for _, l := range ledgers {
		all.ledgers += l.usage().cpu
	}
	all.postgres, err = childrenCPU(s.cmd.Process.Pid)
	return all, err
}

// childrenCPU adds up what all descendants of a process have used, those that have ended
// and were waited for included.
func childrenCPU(pid int) (sum time.Duration, err error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return 0, fmt.Errorf("CPU of Postgres: %w", err)
	}
	type one struct {
		parent int
		cpu    time.Duration
	}
	all := map[int]one{}
	for _, e := range entries {
		id, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err != nil {
			continue // it has ended: its parent has its time
		}
		f := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if len(f) < 15 {
			continue
		}
		var ticks, parent int64
		for _, field := range f[11:15] { // its own user and system time, and its children's
			n, _ := strconv.ParseInt(field, 10, 64)
			ticks += n
		}
		parent, _ = strconv.ParseInt(f[1], 10, 64)
		all[id] = one{int(parent), time.Duration(ticks) * time.Second / clockTicks}
	}
	for id, p := range all {
		for up := p.parent; up != 0 && id != pid; up = all[up].parent {
			if up == pid {
				sum += p.cpu
				break
			}
		}
	}
	if sum == 0 {
		return 0, errors.New("CPU of Postgres: the measured service has no child that used any")
	}
	return sum, nil
}

// machineCPU is the machine's time since it started, in ticks of all its CPUs.
type machineCPU struct{ busy, all int64 }

// busyPercentSince is how busy its CPUs were between two readings.
func (m machineCPU) busyPercentSince(before machineCPU) float64 {
	if m.all == before.all {
		return 0
	}
	return 100 * float64(m.busy-before.busy) / float64(m.all-before.all)
}

func readMachineCPU() (machineCPU, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return machineCPU{}, fmt.Errorf("the machine's CPU: %w", err)
	}
	return parseMachineCPU(text)
}

// parseMachineCPU reads the first line of /proc/stat: user, nice, system, idle, iowait,
// irq, softirq, steal; what guests use is in user already.
func parseMachineCPU(text []byte) (m machineCPU, err error) {
	line, _, _ := bytes.Cut(text, []byte("\n"))
	f := strings.Fields(string(line))
	if len(f) < 9 || f[0] != "cpu" {
		return m, fmt.Errorf("the machine's CPU: %q is not what /proc/stat begins with", line)
	}
	for i, field := range f[1:9] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return m, fmt.Errorf("the machine's CPU: %w", err)
		}
		m.all += n
		if i != 3 && i != 4 { // idle, and waiting for a disk
			m.busy += n
		}
	}
	return m, nil
}
