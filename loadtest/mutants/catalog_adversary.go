//go:build linux

package mutants

// adversary are those of money, opening hours and logs: chosen and planted by somebody
// who had not written the audit, before reading it.
var adversary = []Mutant{
	{
		Name:   "fee-in-totals",
		Breaks: "a campaign's totals count its lines only, and not the fee that a donor covers",
		Edits: []Edit{{
			File: "ledger/postgres/record.go",
			Old:  "d.pledged[n] += donation.Lines[i].AmountMinor\n",
			New:  "d.pledged[n] += donation.Lines[i].AmountMinor + donation.FeeCoverMinor\n",
		}},
		Check: Day{Breaks: []string{"I5"}},
	},
	{
		Name:   "last-line-lost",
		Breaks: "a donation's lines are recorded all or none",
		Edits: []Edit{{
			File: "ledger/postgres/record.go",
			Old:  "		for i := range d.Lines {\n			r.copy.row(copyLinesFields)\n",
			New:  "		for i := range d.Lines[:max(1, len(d.Lines)-1)] {\n			r.copy.row(copyLinesFields)\n",
		}},
		Check: Day{Breaks: []string{"I1"}, Named: true},
	},
	{
		Name:   "donor-of-the-request-before",
		Breaks: "nothing that is taken from a request outlives it",
		Edits: []Edit{
			{
				File: "ingest/httpapi/donate.go",
				Old:  "	\"net/netip\"\n	\"time\"\n",
				New:  "	\"net/netip\"\n	\"sync/atomic\"\n	\"time\"\n",
			},
			{
				File: "ingest/httpapi/donate.go",
				Old:  "	w.sealed, w.record.SealKey = s.deps.Keyring.Seal(w.sealed[:0], w.id, &d.Personal)\n",
				New: `	own := d.Personal
	own.Name, own.Email, own.Message = string([]byte(own.Name)), string([]byte(own.Email)), string([]byte(own.Message))
	own.DedicationName = string([]byte(own.DedicationName))
	donor := donorBefore.Swap(&own)
	if donor == nil || donor.IsZero() || own.IsZero() {
		donor = &own
	}
	w.sealed, w.record.SealKey = s.deps.Keyring.Seal(w.sealed[:0], w.id, donor)
`,
			},
			{
				File: "ingest/httpapi/donate.go",
				Old:  "// seal makes the record that the broker holds:",
				New:  "var donorBefore atomic.Pointer[ingest.Personal]\n\n// seal makes the record that the broker holds:",
			},
		},
		Check: Day{Breaks: []string{"I1"}, Named: true},
	},
	{
		Name:   "key-reused-and-thanked",
		Breaks: "other content under a key is an error at once or a recorded conflict, never silence",
		Edits: []Edit{{
			File: "ingest/httpapi/donate.go",
			Old:  "		s.refuseDonation(ctx, w, &problem.Problem{Kind: problem.KeyReused})\n",
			New:  "		s.accept(ctx, w)\n",
		}},
		Check: Day{Breaks: []string{"I8"}, Named: true},
	},
	{
		Name:   "refused-and-stored",
		Breaks: "a definite refusal stores nothing",
		Edits: []Edit{{
			File: "ingest/httpapi/donate.go",
			Old:  "		s.refuseDonation(ctx, w, &problem.Problem{Kind: problem.CampaignNotOpen, Fields: w.closed})\n",
			New: `		s.seal(w)
		_ = s.deps.Publisher.Publish(w.book, &w.record)
		s.refuseDonation(ctx, w, &problem.Problem{Kind: problem.CampaignNotOpen, Fields: w.closed})
`,
		}},
		Check: Day{Breaks: []string{"I3"}, Named: true},
	},
	{
		Name:   "failed-still-pledged",
		Breaks: "pledged counts no donation that failed",
		Edits: []Edit{{
			File: "ledger/payments/postgres/apply.go",
			Old:  "			payments.Pledged(*now, i)-payments.Pledged(*was, i),\n",
			New:  "			max(0, payments.Pledged(*now, i)-payments.Pledged(*was, i)),\n",
		}},
		Check: Day{Breaks: []string{"I5"}},
	},
	{
		Name:   "refund-twice-in-totals",
		Breaks: "what a campaign has raised falls by what was given back, once",
		Edits: []Edit{{
			File: "ledger/payments/postgres/apply.go",
			Old:  "			payments.Raised(*now, i)-payments.Raised(*was, i),\n",
			New:  "			payments.Raised(*now, i)-payments.Raised(*was, i)+min(0, payments.Raised(*now, i)-payments.Raised(*was, i)),\n",
		}},
		Check: Day{Breaks: []string{"I5"}},
	},
	{
		Name:   "cents-everywhere",
		Breaks: "amounts are minor units of ISO 4217: a yen has no cents",
		Edits: []Edit{{
			File: "ledger/payments/stripe/amount.go",
			Old:  "		return minor, nil\n",
			New:  "		if c == \"JPY\" {\n			return minor * 100, nil\n		}\n		return minor, nil\n",
		}},
		Check: Day{Breaks: []string{"I7"}, Named: true},
	},
	{
		Name:   "unanswered-is-failed",
		Breaks: "a call without an answer is an unknown outcome, not a failure",
		Edits: []Edit{{
			File: "ledger/payments/stripe/call.go",
			Old:  "	case r.reason != \"\":\n		return payments.Answer{Kind: payments.Unknown, Detail: r.reason}, true\n",
			New:  "	case r.reason != \"\":\n		return payments.Answer{Kind: payments.Definite, Reason: payments.CardNeeded, Detail: r.reason}, true\n",
		}},
		// A call in a thousand meets three timeouts in a row, and is made again three minutes after its first time.
		Check: Day{Name: "without answers", Args: []string{"--timeouts", "10%", "--webhooks", "lost=100%", "--charge-patience", "4m"}, Breaks: []string{"I7"}, Named: true, Kept: true},
	},
	{
		Name:   "declined-and-thanked",
		Breaks: "a donor is told that a gift succeeded when it was captured",
		Edits: []Edit{{
			File: "ledger/payments/status.go",
			Old:  "	case Failed:\n		return StatusFailed, a.Reason\n",
			New:  "	case Failed:\n		if a.Reason == Declined {\n			return StatusSucceeded, \"\"\n		}\n		return StatusFailed, a.Reason\n",
		}},
		Check: Day{Breaks: []string{"I7"}, Named: true},
	},
	{
		Name:   "first-line-takes-all",
		Breaks: "a capture credits each line's campaign with its part (and the ledger's own check of that is gone)",
		Edits: []Edit{
			{
				File: "ledger/payments/booking.go",
				Old:  "		credit(journal.Gifts(p.Lines[i].Campaign), p.Lines[i].AmountMinor)\n",
				New: `		if i > 0 {
			break
		}
		var all int64
		for k := range p.Lines {
			all += p.Lines[k].AmountMinor
		}
		credit(journal.Gifts(p.Lines[i].Campaign), all)
`,
			},
			{
				File: "ledger/payments/postgres/apply.go",
				Old:  "	return next, effects, sound(was, &next, effects.Entries)\n",
				New:  "	_ = sound\n	return next, effects, nil\n",
			},
		},
		Check: Day{Breaks: []string{"I5"}, Named: true},
	},
	{
		Name:   "as-of-goes-back",
		Breaks: "what was claimed to be complete stays claimed",
		Edits: []Edit{{
			File: "cache/feed/state.go",
			Old:  "	b.asOf = later(b.asOf, least)\n",
			New:  "	b.asOf = least\n",
		}},
		Check: Schedule{Scenario: ledgerStoppedInOrder.Scenario, Breaks: []string{"I6"}},
	},
	{
		Name:   "received-when-recorded",
		Breaks: "a gift's time is the front-end's, whenever the ledger comes to it",
		Edits: []Edit{
			{
				File: "ledger/postgres/record.go",
				Old:  "	\"slices\"\n	\"sync\"\n",
				New:  "	\"slices\"\n	\"sync\"\n	\"time\"\n",
			},
			{
				File: "ledger/postgres/record.go",
				Old:  "		r.copy.timestamptz(d.ReceivedAt)\n",
				New:  "		r.copy.timestamptz(time.Now())\n",
			},
		},
		Check: Schedule{Scenario: ledgerAwayOverTheClosing.Scenario, Breaks: []string{"I9"}, Named: true},
	},
	{
		Name:   "hours-by-the-second",
		Breaks: "opening and closing are [start, end), to the microsecond",
		Edits: []Edit{{
			File: "ingest/httpapi/judge.go",
			Old:  "	if phase := c.PhaseAt(w.received); phase != campaigns.Open {\n",
			New:  "	if phase := c.PhaseAt(w.received.Round(1e9)); phase != campaigns.Open {\n",
		}},
		Check: Day{Breaks: []string{"I9"}, Named: true},
	},
	{
		Name:   "ledger-closes-campaigns",
		Breaks: "the ledger refuses nothing: a backlog moves no gift past the closing",
		Edits: []Edit{{
			File: "ledger/postgres/record.go",
			Old:  "	for _, d := range r.donations {\n		if _, recorded := r.known[d.ID]; !recorded {\n			r.fresh = append(r.fresh, d)\n",
			New: `	rows, err := r.conn.Query(ctx, "SELECT slug FROM campaigns.campaigns WHERE ends_at <= now()")
	if err != nil {
		return err
	}
	closed, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, d := range r.donations {
		if _, recorded := r.known[d.ID]; !recorded && !slices.Contains(closed, d.Lines[0].Campaign) {
			r.fresh = append(r.fresh, d)
`,
		}},
		Check: ledgerAwayOverTheClosing,
	},
	{
		Name:   "donor-in-the-log",
		Breaks: "no personal data in a log",
		Edits: []Edit{{
			File: "ingest/httpapi/donate.go",
			Old:  "		s.refuseDonation(ctx, w, &problem.Problem{Kind: problem.KeyReused})\n",
			New: `		s.log.Warn("a key was used again", "donation", w.id.String(), "donor", w.donation.Personal.Name, "email", w.donation.Personal.Email)
		s.refuseDonation(ctx, w, &problem.Problem{Kind: problem.KeyReused})
`,
		}},
		Check: Day{Breaks: []string{"I10"}, Named: true},
	},
	{
		Name:   "parameters-in-the-log",
		Breaks: "no secret in a log: a confirmation token can be charged",
		Edits: []Edit{{
			File: "ledger/payments/charge/call.go",
			Old:  "	d.s.observe(d.metrics.callSeconds, tracing.ended.Sub(began), c.Donation)\n",
			New:  "	d.s.observe(d.metrics.callSeconds, tracing.ended.Sub(began), c.Donation)\n	d.log.Info(\"called\", \"donation\", uuid(c.Donation), \"params\", string(c.Params))\n",
		}},
		Check: Day{Breaks: []string{"I10"}, Named: true},
	},
	{
		Name:   "body-in-the-log",
		Breaks: "no card data in a log, and least of all that of a request which was refused because of it",
		Edits: []Edit{{
			File: "ingest/httpapi/donate.go",
			Old:  "		s.refuseDonation(ctx, w, &problem.Problem{Kind: problem.InvalidDonation, Fields: w.refused})\n",
			New: `		s.log.Info("refused", "body", string(ctx.Request.Body()))
		s.refuseDonation(ctx, w, &problem.Problem{Kind: problem.InvalidDonation, Fields: w.refused})
`,
		}},
		Check: Day{Breaks: []string{"I10"}},
	},
}
