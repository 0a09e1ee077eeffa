package consumer_test

import (
	"fmt"
	"time"

	"spillway/ingest"
	"spillway/ingest/broker"
	"spillway/ingest/envelope"
	"spillway/ledger"
)

// stored is a donation as the stream has it.
type stored struct {
	campaign string
	first    time.Time                   // when the first message that carries it was stored
	contents map[ingest.Fingerprint]bool // all that came under its ID
}

// given reads all streams: the truth that everything is held against.
func (s *simulation) given() (map[ingest.ID]*stored, map[ingest.RequestID]int) {
	s.t.Helper()
	all, wishes := map[ingest.ID]*stored{}, map[ingest.RequestID]int{}
	for shard := range simShards {
		s.readShard(shard, all, wishes)
	}
	return all, wishes
}

func (s *simulation) readShard(shard int, all map[ingest.ID]*stored, wishes map[ingest.RequestID]int) {
	s.t.Helper()
	info, err := s.js.Stream(s.t.Context(), broker.Stream(ledger.Live, shard))
	if err != nil {
		s.t.Fatal(err)
	}
	for seq := uint64(1); seq <= info.CachedInfo().State.LastSeq; seq++ {
		m, err := info.GetMsg(s.t.Context(), seq)
		if err != nil {
			s.t.Fatal(err)
		}
		if _, err := envelope.Decode(m.Data, func(_ int, r envelope.Record, _ []byte, err error) {
			if err != nil {
				s.t.Fatal(err)
			}
			d := r.Donation
			if d == nil {
				wishes[r.Request.ID]++
				return
			}
			g := all[d.ID]
			if g == nil {
				g = &stored{campaign: d.Lines[0].Campaign, first: m.Time, contents: map[ingest.Fingerprint]bool{}}
				all[d.ID] = g
			}
			if m.Time.Before(g.first) {
				g.first = m.Time
			}
			g.contents[d.Fingerprint] = true
		}); err != nil {
			s.t.Fatal(err)
		}
	}
}

// check holds what was recorded and what was shown against what was given.
func (s *simulation) check() {
	t := s.t
	given, wishes := s.given()
	losers := 0
	for _, g := range given {
		losers += len(g.contents) - 1
	}

	// The books.
	if n := s.count("SELECT count(*) FROM donations"); n != int64(len(given)) {
		t.Errorf("%d donations recorded, %d given", n, len(given))
	}
	if n := s.count("SELECT count(*) FROM conflicts"); n != int64(losers) {
		t.Errorf("%d conflicts noted, %d happened", n, losers)
	}
	again := 0
	for _, times := range wishes {
		again += times - 1
	}
	if n := s.count("SELECT count(*) FROM requests JOIN donations ON id = donation_id"); n != int64(len(wishes)) {
		t.Errorf("%d requests stored, %d given", n, len(wishes))
	}
	if n := s.count("SELECT count(*) FROM quarantine"); n != 0 {
		t.Errorf("%d records set aside", n)
	}
	if n := s.count(`SELECT count(*) FROM (SELECT campaign, sum(amount_minor) AS minor, count(*) AS n FROM lines GROUP BY campaign) l
		FULL JOIN (SELECT campaign, sum(pledged_minor) AS minor, sum(donations) AS n FROM slots GROUP BY campaign) s USING (campaign)
		WHERE (l.minor, l.n) IS DISTINCT FROM (s.minor, s.n)`); n != 0 {
		t.Errorf("%d campaigns whose slots are not the sum of their lines", n)
	}

	// What a front-end finds that starts now: every slot whole, and closed.
	for slot := range s.count("SELECT max(slot) FROM slot_terms") {
		slot := int32(slot + 1)
		snapshot, err := s.broker.Snapshot(t.Context(), ledger.Live, slot)
		if err != nil {
			t.Error(err)
			continue
		}
		where := fmt.Sprint(" FROM slots WHERE slot = ", slot)
		rows, n := s.count("SELECT count(*)"+where), int64(0)
		for _, row := range snapshot.Rows {
			n += row.Donations
		}
		if int64(len(snapshot.Rows)) != rows || n != s.count("SELECT coalesce(sum(donations), 0)"+where) {
			t.Errorf("slot %d: the last snapshot holds %d rows and %d donations", slot, len(snapshot.Rows), n)
		}
		if term := s.count(fmt.Sprint("SELECT term FROM slot_terms WHERE slot = ", slot)); !snapshot.Closed || snapshot.Term != term {
			t.Errorf("slot %d: the last snapshot is of term %d (closed: %v), the slot's is %d", slot, snapshot.Term, snapshot.Closed, term)
		}
	}

	// What the front-end showed.
	false_, worst, longest := 0, int64(0), time.Duration(0)
	shown := map[string]int64{}
	for _, l := range s.looks {
		due := map[string]int64{}
		for _, g := range given {
			if g.first.Before(l.asOf) {
				due[g.campaign]++
			}
		}
		missing := int64(0)
		for c, n := range due {
			missing += max(0, n-l.sums[c].Donations)
		}
		for c, row := range l.sums {
			if row.Donations < shown[c] {
				t.Errorf("as of %s: %s went back from %d to %d donations", l.asOf.Format(time.TimeOnly), c, shown[c], row.Donations)
			}
			shown[c] = row.Donations
		}
		if missing > 0 {
			false_++
			worst = max(worst, missing)
		}
	}
	for n := 1; n < len(s.looks); n++ {
		longest = max(longest, s.looks[n].asOf.Sub(s.looks[n-1].asOf))
	}
	if false_ > 0 {
		t.Errorf("as_of was false in %d of %d looks; at worst %d donations were missing", false_, len(s.looks), worst)
	}
	last := s.looks[len(s.looks)-1]
	total := int64(0)
	for _, row := range last.sums {
		total += row.Donations
	}
	if total != int64(len(given)) {
		t.Errorf("in the end the front-end shows %d donations, %d were given", total, len(given))
	}
	t.Logf("%d donations, %d conflicts, %d looks, as_of stood still for %v at most; %v", len(given), losers, len(s.looks), longest.Round(time.Millisecond), s.faults.happened())

	// A run in which nothing happened proves nothing.
	happened := s.faults.happened()
	happened["conflicts"], happened["looks (100 or more)"] = int64(losers), int64(len(s.looks)/looksLeast)
	happened["wishes sent twice"] = int64(again)
	for what, n := range happened {
		if n == 0 {
			t.Errorf("the schedule made no %s", what)
		}
	}
}
