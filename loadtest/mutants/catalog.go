//go:build linux

package mutants

import "slices"

// Catalog lists the broken builds. Each breaks one rule of the design in the way
// in which somebody in a hurry would.
var Catalog = slices.Concat(pipeline, adversary)

// pipeline are those of the way from the socket to the ledger.
var pipeline = []Mutant{
	{
		Name:   "ack-early",
		Breaks: "202 is said after the broker's acknowledgement of the envelope",
		Edits: []Edit{{
			File: "ingest/broker/lane.go",
			Old:  "	<-o.done\n	err = o.err\n	l.p.release(o)\n	return err\n",
			New:  "	l.p.release(o)\n	return nil\n",
		}},
		Check: brokerFrozenThenKilled,
	},
	{
		Name:   "not-returned",
		Breaks: "totals are raised by the rows that this very transaction inserted",
		Edits: []Edit{{
			File: "ledger/postgres/record.go",
			Old:  "sum(r.fresh)",
			New:  "sum(r.donations)",
		}},
		Check: sameRunAgain,
	},
	{
		Name:   "absolute-slots",
		Breaks: "slots change by a delta in the database, never to a value from a writer's memory",
		Edits: []Edit{
			{
				File: "ledger/postgres/sql/raise_slots.sql",
				Old:  "pledged_minor = s.pledged_minor + excluded.pledged_minor, -- by delta, never from memory\n    donations     = s.donations + excluded.donations,",
				New:  "pledged_minor = excluded.pledged_minor,\n    donations     = excluded.donations,",
			},
			{
				File: "ledger/postgres/record.go",
				Old:  "if raised := sum(r.fresh); len(raised.campaigns) > 0 {",
				New:  "if raised := remembered(r.lease, sum(r.fresh)); len(raised.campaigns) > 0 {",
			},
			{
				File: "ledger/postgres/record.go",
				Old:  "// sum adds up the lines of donations per campaign and currency.\n",
				New: `var memory = struct {
	sync.Mutex
	pledged, donations map[string]int64
}{pledged: map[string]int64{}, donations: map[string]int64{}}

func remembered(lease ledger.Lease, d deltas) deltas {
	memory.Lock()
	defer memory.Unlock()
	for i := range d.campaigns {
		key := fmt.Sprint(lease.Book, lease.Slot, d.campaigns[i], d.currencies[i])
		memory.pledged[key] += d.pledged[i]
		memory.donations[key] += d.donations[i]
		d.pledged[i], d.donations[i] = memory.pledged[key], memory.donations[key]
	}
	return d
}

// sum adds up the lines of donations per campaign and currency.
`,
			},
		},
		Check: ledgerStoppedInOrder,
	},
	{
		Name:   "ack-all",
		Breaks: "each message is acknowledged by itself: a holder that dies keeps its own",
		Edits: []Edit{
			{
				File: "ingest/broker/topology.go",
				Old:  "AckPolicy: jetstream.AckExplicitPolicy, AckWait: AckWait,",
				New:  "AckPolicy: jetstream.AckAllPolicy, AckWait: AckWait,",
			},
			{
				File: "ingest/broker/topology.go",
				Old:  "have.AckPolicy == jetstream.AckExplicitPolicy",
				New:  "have.AckPolicy == jetstream.AckAllPolicy",
			},
		},
		Check: holderKilledWhileDatabaseIsAway("I1"),
	},
	{
		Name:   "ack-before-commit",
		Breaks: "a message is acknowledged after its donations were committed",
		Edits: []Edit{{
			File: "ledger/consumer/settle.go",
			Old:  "	if err := s.quarantine(ctx, b.rejected); err != nil {\n		return err\n	}\n	if len(b.donations) > 0 {",
			New: `	for _, m := range b.messages {
		_ = m.Handle.Ack()
	}
	if err := s.quarantine(ctx, b.rejected); err != nil {
		return err
	}
	if len(b.donations) > 0 {`,
		}},
		Check: holderKilledWhileDatabaseIsAway("I1"),
	},
	{
		Name:   "watermark-of-now",
		Breaks: "counted_through asks for the ack floor: what another ledger still holds is not counted",
		Edits: []Edit{{
			File: "ingest/broker/watermark.go",
			Old:  "	if now.Pending > 0 || now.AckPending > 0 {\n",
			New:  "	if !now.At.IsZero() {\n		return now.At, nil\n	}\n	if now.Pending > 0 || now.AckPending > 0 {\n",
		}},
		Check: holderKilledWhileDatabaseIsAway("I6"),
	},
	{
		Name:   "sequence-dedupe",
		Breaks: "a repeat is known by the donation's ID, not by its place in the stream",
		Edits: []Edit{
			{
				File: "ledger/consumer/lane.go",
				Old:  "		b.add(l.c.book, l.shard.Stream, m)\n",
				New: `		if last, ok := lastRecorded.Load(l.shard.Stream); ok && m.Sequence <= last.(uint64) {
			_ = m.Handle.Ack() // a repeat
			continue
		}
		b.add(l.c.book, l.shard.Stream, m)
`,
			},
			{
				File: "ledger/consumer/lane.go",
				Old:  "// holding is what the broker thinks",
				New: `var lastRecorded sync.Map // stream to the sequence of the last message recorded

// holding is what the broker thinks`,
			},
			{
				File: "ledger/consumer/settle.go",
				Old:  "		p.lane.trace(p.batch, began, ended)\n",
				New: `		for _, m := range p.batch.messages {
			lastRecorded.Store(p.lane.shard.Stream, m.Sequence)
		}
		p.lane.trace(p.batch, began, ended)
`,
			},
		},
		Check: brokerRestored,
	},
	{
		Name:   "no-own-held-bound",
		Breaks: "counted_through never passes what this process has fetched and not yet published",
		Edits: []Edit{{
			File: "ledger/consumer/writer.go",
			Old:  "n.through = earlier(n.through, f.bound) // the own-held bound",
			New:  "_ = f.bound",
		}},
		Check: frozenAfterCommit,
	},
	{
		Name:   "no-lease-fence",
		Breaks: "a transaction is refused once its slot's term has moved on",
		Edits: []Edit{{
			File: "ledger/postgres/sql/fence.sql",
			Old:  "  AND term = $2 AND epoch = $3 -- the lease fence",
			New:  "  AND $2::bigint IS NOT NULL AND $3::bigint IS NOT NULL",
		}},
		Check: frozenBeforeTransaction,
	},
	{
		Name:   "sync-off",
		Breaks: "the broker syncs before it acknowledges (and the gate, which would refuse, is told that it does)",
		Edits: []Edit{syncOff, {
			File: "deploy/onebox/broker.go",
			Old:  "return cfg != nil && cfg.SyncAlways",
			New:  "return cfg != nil",
		}},
		Check: plugPulled,
	},
}

// syncOff is the broker's own default: a sync every two minutes.
var syncOff = Edit{
	File: "deploy/onebox/broker.go",
	Old:  "opts.SyncAlways = true",
	New:  "opts.SyncAlways = false",
}
