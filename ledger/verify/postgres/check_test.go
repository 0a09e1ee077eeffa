package postgres

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	campaignspostgres "spillway/campaigns/postgres"
	"spillway/deploy/onebox/pgtest"
	"spillway/ledger"
	ledgerpostgres "spillway/ledger/postgres"
	"spillway/ledger/verify"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// A healthy installation: four live donations of six lines recorded by two slots; of
// them one captured with its second card, partly refunded, disputed in vain and charged
// once too much, which went back; one that failed; a gift by cheque; one conflict, one
// rehearsal.
const healthy = `
SET search_path = spillway;
INSERT INTO donations (seq, id, fingerprint, received_at, token_expires_at, amount_minor, lines_minor, fee_cover_minor,
    source, seal_key, anonymous, hide_amount, currency, confirmation_token, sealed)
SELECT seq, id::uuid, id::uuid, '2026-11-22 12:00Z', '2026-11-22 13:00Z', amount, amount - fee, fee,
    -7, 0, false, false, 'USD', 'ctoken_card_visa', ''
FROM (VALUES (1, 'a0000000-0000-8000-8000-000000000001', 600, 100), (2, 'a0000000-0000-8000-9000-000000000002', 300, 0),
    (5, 'a0000000-0000-8000-b000-000000000005', 50, 0)) AS d (seq, id, amount, fee);
INSERT INTO lines (donation_seq, line_no, campaign, amount_minor) VALUES
    (1, 1, 'river', 300), (1, 2, 'school', 200), (2, 1, 'school', 100), (2, 2, 'river', 200), (5, 1, 'river', 50);
INSERT INTO slots (slot, campaign, currency, pledged_minor, donations, version) VALUES
    (1, 'river', 'USD', 500, 2, 2), (1, 'school', 'USD', 300, 2, 1), (2, 'river', 'USD', 50, 1, 1);
INSERT INTO slot_terms (slot, term, epoch) VALUES (1, 3, 1), (2, 1, 1);
INSERT INTO slot_leases (slot, term, until, closed, holder) VALUES
    (1, 3, clock_timestamp() + interval '3 seconds', false, 'one'), (2, 1, clock_timestamp() - interval '1 day', true, 'two');
INSERT INTO donations (seq, id, fingerprint, received_at, token_expires_at, amount_minor, lines_minor, fee_cover_minor,
    source, seal_key, anonymous, hide_amount, currency, confirmation_token, sealed)
SELECT 6, 'a0000000-0000-8000-b000-000000000006', id, received_at, token_expires_at, 40, 40, 0, source, seal_key, false, false, currency, confirmation_token, sealed
FROM donations WHERE seq = 5;
INSERT INTO lines (donation_seq, line_no, campaign, amount_minor) VALUES (6, 1, 'river', 40);
INSERT INTO payments (donation_id, intent, charge, captured_minor, captured_at, attempt_no, status, reason, lines_refunded) VALUES
    ('a0000000-0000-8000-8000-000000000001', 'pi_1', 'ch_1', 600, '2026-11-22 12:05Z', 2, 'succeeded', '', '{35,15}'),
    ('a0000000-0000-8000-b000-000000000006', 'pi_6', '', 0, NULL, 1, 'failed', 'declined', NULL);
INSERT INTO attempts (donation_id, attempt_no, state, source, token, token_expires_at, not_before, changed_at) VALUES
    ('a0000000-0000-8000-8000-000000000001', 1, 5, 1, 'ctoken_1', now(), now(), now()),
    ('a0000000-0000-8000-8000-000000000001', 2, 7, 1, 'ctoken_2', now(), now(), now()),
    ('a0000000-0000-8000-b000-000000000006', 1, 5, 1, 'ctoken_3', now(), now(), now());
INSERT INTO due_batches (donations, count, expanded) VALUES
    ('{a0000000-0000-8000-8000-000000000001,a0000000-0000-8000-9000-000000000002,a0000000-0000-8000-b000-000000000005}', 3, 1);
INSERT INTO refunds (refund, donation_id, processor_id, amount_minor, lines, status) VALUES
    (gen_random_uuid(), 'a0000000-0000-8000-8000-000000000001', 're_1', 60, '{}', 'succeeded');
INSERT INTO disputes (dispute, donation_id, charge, amount_minor, status, turned, fee_minor, fee_returned_minor, fee_currency) VALUES
    ('dp_1', 'a0000000-0000-8000-8000-000000000001', 'ch_1', 600, 'won', false, 0, 0, '');
INSERT INTO processor_events (event_id, type, created_at, verdict) VALUES ('evt_0', 'charge.succeeded', now(), 1);
INSERT INTO entries (slot, n, occurred_at, donation_id, kind, ref, accounts, currencies, amounts, prev, hash)
SELECT 1, n, now(), donation::uuid, kind, ref, accounts::text[], currencies::text[], amounts::bigint[], sha256('x'), sha256('x')
FROM (VALUES
    (1, 'a0000000-0000-8000-8000-000000000001', 'capture', 'capture:ch_1', '{processor:stripe,gifts:river,gifts:school,fees:covered}', '{USD,USD,USD,USD}', '{600,-300,-200,-100}'),
    (2, 'a0000000-0000-8000-8000-000000000001', 'refund', 'refund:re_1', '{gifts:river,gifts:school,fees:covered,processor:stripe}', '{USD,USD,USD,USD}', '{30,20,10,-60}'),
    (3, NULL, 'offline_gift', 'offline:1', '{offline:received,gifts:river}', '{USD,USD}', '{25,-25}'),
    (4, 'a0000000-0000-8000-8000-000000000001', 'capture', 'capture:ch_0', '{processor:stripe,suspense:stripe}', '{USD,USD}', '{7,-7}'),
    (5, 'a0000000-0000-8000-8000-000000000001', 'refund', 'refund:re_0', '{suspense:stripe,processor:stripe}', '{USD,USD}', '{7,-7}'),
    (6, 'a0000000-0000-8000-8000-000000000001', 'correction', 'refund_split:re_1', '{gifts:river,gifts:school}', '{USD,USD}', '{5,-5}'),
    (7, NULL, 'correction', 'correction:1', '{gifts:school,offline:received}', '{USD,USD}', '{10,-10}')
) AS e (n, donation, kind, ref, accounts, currencies, amounts);
UPDATE slots SET raised_minor = 290, pledged_minor = 525, donations = 3 WHERE slot = 1 AND campaign = 'river';
UPDATE slots SET raised_minor = 175, pledged_minor = 290 WHERE slot = 1 AND campaign = 'school';
INSERT INTO conflicts (id, fingerprint, received_at, record) VALUES
    ('a0000000-0000-8000-8000-000000000001', 'c0000000-0000-8000-8000-000000000001', '2026-11-22 12:01Z', 'x');
SET search_path = rehearsal;
INSERT INTO donations (seq, id, fingerprint, received_at, token_expires_at, amount_minor, lines_minor, fee_cover_minor,
    source, seal_key, anonymous, hide_amount, currency, confirmation_token, sealed)
VALUES (1, 'b0000000-0000-8000-8000-000000000001', 'b0000000-0000-8000-8000-000000000001', '2026-11-22 12:00Z', '2026-11-22 13:00Z',
    1, 1, 0, 0, 0, false, false, 'USD', 'ctoken_card_visa', '');
INSERT INTO lines (donation_seq, line_no, campaign, amount_minor) VALUES (1, 1, 'drill', 1);
INSERT INTO due_batches (donations, count) VALUES ('{b0000000-0000-8000-8000-000000000001}', 1);
INSERT INTO slots (slot, campaign, currency, pledged_minor, donations, version) VALUES (1, 'drill', 'USD', 1, 1, 1);
INSERT INTO slot_terms (slot, term, epoch) VALUES (1, 1, 1);
INSERT INTO slot_leases (slot, term, until, closed, holder) VALUES (1, 1, clock_timestamp(), true, 'one');
SET search_path = campaigns;
INSERT INTO campaigns (revision, slug, name, currency, rehearsal, starts_at, ends_at, changed_at) VALUES
    (1, 'river', 'River', 'USD', false, '2026-11-22 12:00Z', '2026-11-22 12:00:00.000001Z', '2026-11-20 12:00Z'),
    (2, 'school', 'School', 'USD', false, NULL, NULL, '2026-11-20 12:00Z'),
    (3, 'drill', 'Drill', 'USD', true, '2026-11-22 11:00Z', NULL, '2026-11-23 12:00Z'),
    (4, 'unloved', 'Unloved', 'EUR', false, NULL, NULL, '2026-11-20 12:00Z');
RESET search_path;
`

// The healthy donations, by their row numbers.
const (
	first  = "a0000000-0000-8000-8000-000000000001"
	second = "a0000000-0000-8000-9000-000000000002"
	fifth  = "a0000000-0000-8000-b000-000000000005"
	sixth  = "a0000000-0000-8000-b000-000000000006" // failed
)

func TestChecks_NameEachKindOfDamage(t *testing.T) {
	template := installation(t)
	t.Run("a healthy installation", func(t *testing.T) {
		report := check(t, copyOf(t, template))
		for _, res := range report.Results {
			if res.Verdict != verify.Holds {
				t.Errorf("%s %s: %s %v %s", res.Check, res.Scope, res.Verdict, res.Findings, res.Reason)
			}
			if res.Scope == "live" && res.Examined == 0 && res.Check != "quarantine" && res.Check != "window-moved" {
				t.Errorf("%s examined nothing", res.Check)
			}
		}
	})

	// Damage is done the way that gets past the schema: triggers do not fire for a
	// replica's session, and constraints can be dropped.
	const lawless = `
		SET search_path = spillway; SET session_replication_role = replica;
		DO $$ DECLARE c record; BEGIN
			FOR c IN SELECT conrelid::regclass AS of, conname FROM pg_constraint
				WHERE contype = 'c' AND connamespace IN ('spillway'::regnamespace, 'rehearsal'::regnamespace)
			LOOP EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', c.of, c.conname); END LOOP;
		END $$;`
	for _, c := range []struct {
		name, damage string
		want         map[string]string // check: ID of an offender; no other check may speak
	}{
		{"a donation recorded twice",
			`ALTER TABLE donations DROP CONSTRAINT donations_pkey; INSERT INTO donations SELECT * FROM donations WHERE seq = 5`,
			// its line is now claimed by two rows and counted twice
			map[string]string{"id-once": fifth, "row-once": fifth, "totals": "river USD"}},
		{"two donations of one row number", `UPDATE donations SET seq = 1 WHERE seq = 5`,
			map[string]string{"row-once": fifth, "lines-add-up": fifth, "lines-numbered": "row 5", "totals": "river USD"}},
		{"an ID that no key gives", `UPDATE donations SET id = 'a0000000-0000-4000-8000-000000000005' WHERE seq = 5`,
			map[string]string{"id-derived": "a0000000-0000-4000-8000-000000000005", "payment-due": "a0000000-0000-4000-8000-000000000005"}},
		{"an ID of another variant", `UPDATE donations SET id = 'a0000000-0000-8000-c000-000000000005' WHERE seq = 5`,
			map[string]string{"id-derived": "a0000000-0000-8000-c000-000000000005", "payment-due": "a0000000-0000-8000-c000-000000000005"}},
		{"an amount that is not lines and fee",
			`UPDATE donations SET amount_minor = 601 WHERE seq = 1`,
			map[string]string{"amounts": first}},
		{"an amount beyond the processor's", `UPDATE donations SET amount_minor = 100000600, fee_cover_minor = 100000100 WHERE seq = 1`,
			map[string]string{"amounts": first}},
		{"a negative fee",
			`UPDATE donations SET amount_minor = 49, fee_cover_minor = -1 WHERE seq = 5`,
			map[string]string{"amounts": fifth}},
		{"amounts that overflow",
			`UPDATE donations SET fee_cover_minor = 9223372036854775807 WHERE seq = 5`,
			map[string]string{"amounts": fifth}},
		{"a card token that lives too long", `UPDATE donations SET token_expires_at = received_at + interval '12 hours 1 second' WHERE seq = 5`,
			map[string]string{"amounts": fifth}},
		{"sealed bytes without a key",
			`UPDATE donations SET sealed = 'x' WHERE seq = 5`,
			map[string]string{"amounts": fifth}},
		{"a line that was raised", `UPDATE lines SET amount_minor = 51 WHERE donation_seq = 5`,
			map[string]string{"lines-add-up": fifth, "totals": "river USD"}},
		{"a line that is gone", `DELETE FROM lines WHERE donation_seq = 1 AND line_no = 2`,
			map[string]string{"lines-add-up": first, "totals": "school USD", "payment-booked": first}},
		{"a donation without lines", `DELETE FROM lines WHERE donation_seq = 5`,
			map[string]string{"lines-add-up": fifth, "totals": "river USD"}},
		{"a hole in the lines", `UPDATE lines SET line_no = 3 WHERE donation_seq = 2 AND line_no = 2`,
			map[string]string{"lines-numbered": second}},
		{"lines numbered from 0",
			`UPDATE lines SET line_no = 0 WHERE donation_seq = 5`,
			map[string]string{"lines-numbered": fifth}},
		{"a line number twice",
			`ALTER TABLE lines DROP CONSTRAINT lines_pkey; UPDATE lines SET line_no = 1 WHERE donation_seq = 2`,
			map[string]string{"lines-numbered": second}},
		{"a line of nothing",
			`INSERT INTO lines (donation_seq, line_no, campaign, amount_minor) VALUES (5, 2, 'school', 0);
				UPDATE slots SET donations = 3 WHERE campaign = 'school'`,
			map[string]string{"lines-numbered": fifth}},
		{"a line whose donation is gone", `DELETE FROM donations WHERE seq = 5`,
			map[string]string{"lines-numbered": "row 5", "totals": "river USD"}},
		{"a campaign twice in a donation", `UPDATE lines SET campaign = 'river' WHERE donation_seq = 1`,
			map[string]string{"campaign-once": first, "totals": "school USD", "payment-booked": first}},
		{"a slot that counted twice", `UPDATE slots SET pledged_minor = pledged_minor + 50, donations = donations + 1 WHERE slot = 2`,
			map[string]string{"totals": "river USD"}},
		{"a slot with the money and not the number", `UPDATE slots SET donations = donations - 1 WHERE slot = 2`,
			map[string]string{"totals": "river USD"}},
		{"a slot that raised what nobody paid", `UPDATE slots SET raised_minor = 1 WHERE slot = 2`,
			map[string]string{"raised": "river USD"}},
		{"an entry off by one", `UPDATE entries SET amounts = '{601,-300,-200,-100}' WHERE n = 1`,
			map[string]string{"entries-balanced": "capture:ch_1", "payment-booked": first}},
		{"an entry off by a currency", `UPDATE entries SET currencies = '{USD,EUR}' WHERE n = 3`,
			map[string]string{"entries-balanced": "offline:1", "raised": "river EUR", "totals": "river EUR"}},
		{"an entry of one posting", `UPDATE entries SET accounts = '{bank}', currencies = '{USD}', amounts = '{5}' WHERE n = 5`,
			map[string]string{"entries-balanced": "refund:re_0", "suspense": first, "one-charge": first}},
		{"an empty posting", `UPDATE entries SET accounts = accounts || 'bank'::text, currencies = currencies || 'USD'::text, amounts = amounts || 0::bigint WHERE n = 1`,
			map[string]string{"entries-balanced": "capture:ch_1"}},
		{"a posting of NULL", `UPDATE entries SET accounts = accounts || 'bank'::text, currencies = currencies || 'USD'::text, amounts = amounts || NULL::bigint WHERE n = 1`,
			map[string]string{"entries-balanced": "capture:ch_1"}},
		{"a movement booked twice", `ALTER TABLE entries DROP CONSTRAINT entries_pkey, DROP CONSTRAINT entries_ref_once; INSERT INTO entries SELECT * FROM entries WHERE n = 5; DELETE FROM entries WHERE n = 4`,
			map[string]string{"entry-once": "refund:re_0", "suspense": first}},
		{"a capture that is gone", `DELETE FROM entries WHERE n = 1`,
			map[string]string{"payment-booked": first, "raised": "river USD"}},
		{"a refund that is gone", `DELETE FROM entries WHERE n = 2`,
			map[string]string{"payment-booked": first, "raised": "school USD"}},
		{"a second charge that was kept", `DELETE FROM entries WHERE n = 5`,
			map[string]string{"one-charge": first, "suspense": first}},
		{"a second charge for the campaign", `UPDATE entries SET accounts = '{processor:stripe,gifts:river}' WHERE n IN (4, 5)`,
			map[string]string{"one-charge": first, "payment-booked": first, "raised": "river USD"}},
		{"a capture of nobody", `UPDATE entries SET donation_id = NULL WHERE n = 1`,
			map[string]string{"one-charge": "no donation", "payment-booked": first}},
		{"a capture that the payment forgot", `UPDATE payments SET charge = '' WHERE charge <> ''`,
			map[string]string{"payment-booked": first}},
		{"a refund that the payment forgot", `UPDATE payments SET lines_refunded = NULL`,
			map[string]string{"payment-booked": first}},
		{"another amount than was captured", `UPDATE payments SET captured_minor = 601 WHERE charge <> ''`,
			map[string]string{"payment-booked": first}},
		{"a failed gift that is accepted again", `UPDATE payments SET status = 'accepted' WHERE charge = ''`,
			map[string]string{"payment-state": sixth, "totals": "river USD"}},
		{"a refund nobody told the donor of", `UPDATE refunds SET amount_minor = 600`,
			map[string]string{"payment-state": first}},
		{"a dispute nobody told the donor of", `UPDATE disputes SET status = 'open'`,
			map[string]string{"payment-state": first}},
		{"a payment without attempts", `DELETE FROM attempts WHERE token = 'ctoken_3'`,
			map[string]string{"payment-state": sixth}},
		{"a payment whose first attempt is gone", `DELETE FROM attempts WHERE token = 'ctoken_1'`,
			map[string]string{"payment-state": first}},
		{"a donation that nobody will charge", `UPDATE due_batches SET expanded = 2`,
			map[string]string{"payment-due": "a0000000-0000-8000-9000-000000000002"}},
		{"two attempts under way", `UPDATE attempts SET state = 2 WHERE donation_id = 'a0000000-0000-8000-8000-000000000001'`,
			map[string]string{"payment-state": first}},
		{"an event that waits for its donation", `INSERT INTO processor_events (event_id, type, created_at, verdict, parked) VALUES ('evt_1', 'charge.succeeded', now(), 5, 'x')`,
			map[string]string{"parked": "evt_1"}},
		{"a payment of nobody", `UPDATE payments SET donation_id = 'a0000000-0000-8000-b000-000000000007' WHERE charge = '';
			UPDATE attempts SET donation_id = 'a0000000-0000-8000-b000-000000000007' WHERE token = 'ctoken_3'`,
			map[string]string{"payment-due": sixth, "payment-state": "a0000000-0000-8000-b000-000000000007", "totals": "river USD"}},
		{"a slot that is gone", `DELETE FROM slots WHERE slot = 2`,
			map[string]string{"totals": "river USD"}},
		{"a slot in another currency", `UPDATE slots SET currency = 'EUR' WHERE slot = 2`,
			map[string]string{"totals": "river EUR"}},
		{"a slot of a campaign that nobody gave to",
			`INSERT INTO slots (slot, campaign, currency, pledged_minor, donations, version) VALUES (2, 'ghost', 'USD', 1, 1, 1)`,
			map[string]string{"totals": "ghost USD"}},
		{"a slot that was never changed",
			`UPDATE slots SET version = 0 WHERE slot = 2`,
			map[string]string{"slot-rows": "slot 2 river USD"}},
		{"a lease of another term", `UPDATE slot_leases SET term = 2 WHERE slot = 1`,
			map[string]string{"leases": "slot 1"}},
		{"a slot without a term", `DELETE FROM slot_terms WHERE slot = 2`,
			map[string]string{"leases": "slot 2"}},
		{"a slot without a lease", `DELETE FROM slot_leases WHERE slot = 2`,
			map[string]string{"leases": "slot 2"}},
		{"a lease for ever", `UPDATE slot_leases SET until = 'infinity' WHERE slot = 1`,
			map[string]string{"leases": "slot 1"}},
		{"a term of an epoch to come", `UPDATE slot_terms SET epoch = 2 WHERE slot = 1`,
			map[string]string{"leases": "slot 1"}},
		{"an installation without an epoch", `DELETE FROM installation`,
			map[string]string{"leases": "slot 1"}},
		{"a conflict with nobody", `UPDATE conflicts SET id = 'a0000000-0000-8000-8000-000000000009'`,
			map[string]string{"conflicts": "a0000000-0000-8000-8000-000000000009"}},
		{"a conflict with itself", `UPDATE conflicts SET fingerprint = id`,
			map[string]string{"conflicts": first}},
		{"something in quarantine",
			`INSERT INTO quarantine (payload_hash, stream, sequence, record_index, stored_at, reason, detail, payload)
			VALUES (sha256('x'), 'DONATIONS_0', 17, 3, now(), 'malformed', 'tag', 'x')`,
			map[string]string{"quarantine": "DONATIONS_0:17[3]"}},
		{"a campaign that takes another currency", `UPDATE campaigns.campaigns SET currency = 'EUR' WHERE slug = 'school'`,
			map[string]string{"currency": second}},
		{"a rehearsal's campaign in the live book", `UPDATE campaigns.campaigns SET rehearsal = true WHERE slug = 'school'`,
			map[string]string{"book": second}},
		{"a donation in both books", `INSERT INTO rehearsal.donations SELECT * FROM donations WHERE seq = 5;
			INSERT INTO rehearsal.lines VALUES (5, 50, 1, 'drill'); INSERT INTO rehearsal.due_batches (donations, count) SELECT ARRAY[id], 1 FROM donations WHERE seq = 5;
			UPDATE rehearsal.slots SET pledged_minor = 51, donations = 2`,
			map[string]string{"one-book": fifth}},
		{"a donation a moment before the opening", `UPDATE campaigns.campaigns SET starts_at = '2026-11-22 12:00:00.000001Z' WHERE slug = 'school'`,
			map[string]string{"window": second}},
		{"a donation at the closing", `UPDATE campaigns.campaigns SET ends_at = '2026-11-22 12:00Z' WHERE slug = 'school'`,
			map[string]string{"window": first}},
		{"a closing that was moved", `UPDATE campaigns.campaigns SET ends_at = '2026-11-22 12:00Z', changed_at = '2026-11-22 11:59:30Z' WHERE slug = 'school'`,
			map[string]string{"window-moved": first}},
		{"a campaign that nobody knows", `DELETE FROM campaigns.campaigns WHERE slug = 'school'`,
			map[string]string{"campaign-known": "school"}},
		{"a campaign that is a stub", `UPDATE campaigns.campaigns SET stub = true, currency = 'EUR', rehearsal = true WHERE slug = 'school'`,
			map[string]string{"campaign-known": "school"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			database := copyOf(t, template)
			execute(t, database, lawless+c.damage)
			wantSpeaking(t, check(t, database), "live", c.want)
		})
	}
}

// wantSpeaking checks that the named checks of a book, and no others of any
// book, speak, each naming the ID.
func wantSpeaking(t *testing.T, report *verify.Report, scope string, want map[string]string) {
	t.Helper()
	for _, res := range report.Results {
		id, expected := want[res.Check]
		expected = expected && res.Scope == scope
		switch {
		case res.Verdict == verify.Unchecked:
			t.Errorf("%s %s: unchecked: %s", res.Check, res.Scope, res.Reason)
		case expected && res.Verdict == verify.Holds:
			t.Errorf("%s %s does not notice", res.Check, res.Scope)
		case !expected && res.Verdict != verify.Holds:
			t.Errorf("%s %s: %s %v", res.Check, res.Scope, res.Verdict, res.Findings)
		case expected && !slices.ContainsFunc(res.Findings, func(f verify.Finding) bool { return f.ID == id }):
			t.Errorf("%s %s names %v, not %s", res.Check, res.Scope, res.Findings, id)
		case expected && res.Offenders < int64(len(res.Findings)):
			t.Errorf("%s %s counts %d offenders and lists %d", res.Check, res.Scope, res.Offenders, len(res.Findings))
		}
	}
}

// A snapshot is of one moment, and a failed query does not spoil the next one.
func TestSnapshot_SeesNothingNewAndSurvivesErrors(t *testing.T) {
	database := copyOf(t, installation(t))
	s, err := Open(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, _, err := s.Check(t.Context(), ledger.Live, "no-such-check", 1, nil); err == nil {
		t.Error("an unknown check ran")
	}
	execute(t, database, `INSERT INTO spillway.quarantine (payload_hash, stream, sequence, record_index, stored_at, reason, detail, payload)
		VALUES (sha256('x'), 'DONATIONS_0', 17, -1, now(), 'malformed', 'tag', 'x')`)
	if examined, _, err := s.Check(t.Context(), ledger.Live, "quarantine", 1, func(string, string) {}); err != nil || examined != 0 {
		t.Errorf("the snapshot sees %d new rows: %v", examined, err)
	}
	if err := s.in(t.Context(), ledger.Rehearsal, func() error {
		_, err := s.conn.Exec(t.Context(), "SELECT 1/0")
		return err
	}); err == nil {
		t.Error("no error from a division by zero")
	}
	if examined, _, err := s.Check(t.Context(), ledger.Live, "id-once", 1, func(string, string) {}); err != nil || examined != 4 {
		t.Errorf("after an error: %d donations: %v", examined, err)
	}
	if err := s.in(t.Context(), ledger.Live, func() error {
		_, err := s.conn.Exec(t.Context(), "DELETE FROM quarantine")
		return err
	}); err == nil {
		t.Error("the snapshot can write")
	}
}

// Every check of the catalogue has a file, and every file is a check's.
// A database that crashed has no statistics until autovacuum comes round, and
// verify is run right then: no check may take the square of a table's rows. From
// about a hundred thousand rows on the planner would choose that.
func TestChecks_ReadEachTableOnceWithoutStatistics(t *testing.T) {
	database := installation(t)
	execute(t, database, `
		ALTER TABLE spillway.donations SET (autovacuum_enabled = false);
		ALTER TABLE spillway.lines SET (autovacuum_enabled = false);
		INSERT INTO spillway.donations (seq, id, fingerprint, received_at, token_expires_at, amount_minor, lines_minor, fee_cover_minor,
			source, seal_key, anonymous, hide_amount, currency, confirmation_token, sealed)
		SELECT n, md5(n::text)::uuid, md5(n::text)::uuid, '2026-11-22 12:00Z', '2026-11-22 13:00Z', 500, 500, 0, 1, 0, false, false, 'USD', 'ctoken_card_visa', ''
		FROM generate_series(100, 120000) n;
		INSERT INTO spillway.lines (donation_seq, line_no, campaign, amount_minor) SELECT n, 1, 'river', 500 FROM generate_series(100, 120000) n`)
	s, err := Open(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	entries, err := files.ReadDir("sql")
	if err != nil {
		t.Fatal(err)
	}
	planned := 0
	for _, e := range entries {
		file, err := files.ReadFile("sql/" + e.Name())
		if err != nil {
			t.Fatal(err)
		}
		_, offending, isCheck := strings.Cut(string(file), offendersMark)
		if !isCheck {
			continue
		}
		planned++
		var plan []string
		err = s.in(t.Context(), ledger.Live, func() error {
			if _, err := s.conn.Exec(t.Context(), wholeTables); err != nil {
				return err
			}
			rows, err := s.conn.Query(t.Context(), "EXPLAIN "+listing(offending), 20)
			if err != nil {
				return err
			}
			plan, err = pgx.CollectRows(rows, pgx.RowTo[string])
			return err
		})
		if err != nil {
			t.Fatalf("%s: %v", e.Name(), err)
		}
		text := strings.Join(plan, "\n")
		large := strings.Contains(text, "Scan on donations") || strings.Contains(text, "Scan on lines")
		if large && strings.Contains(text, "Nested Loop") { // of a handful of slots it may be one
			t.Errorf("%s compares every row with every other:\n%s", e.Name(), text)
		}
	}
	if planned == 0 {
		t.Error("no check was planned")
	}
}

func TestChecks_AreTheCatalogue(t *testing.T) {
	entries, err := files.ReadDir("sql")
	if err != nil {
		t.Fatal(err)
	}
	var have []string
	for _, e := range entries {
		if name := strings.TrimSuffix(e.Name(), ".sql"); name != "donations" {
			have = append(have, name)
		}
	}
	want := verify.Queries()
	slices.Sort(have)
	slices.Sort(want)
	if !slices.Equal(have, want) {
		t.Errorf("files %q, catalogue %q", have, want)
	}
}

// installation is the address of a migrated, healthy database, to be copied.
func installation(t *testing.T) string {
	t.Helper()
	database := migrated(t)
	execute(t, database, healthy)
	return database
}

// migrated is the address of a migrated, empty database.
func migrated(t *testing.T) string {
	t.Helper()
	database := pgtest.URL(t)
	db, err := ledgerpostgres.Open(ledgerpostgres.Config{URL: database})
	if err != nil {
		t.Fatal(err)
	}
	err = db.Migrate(t.Context())
	db.Close()
	if err != nil {
		t.Fatal(err)
	}
	store, err := campaignspostgres.Open(campaignspostgres.Config{URL: database})
	if err != nil {
		t.Fatal(err)
	}
	err = store.Migrate(t.Context())
	store.Close()
	if err != nil {
		t.Fatal(err)
	}
	return database
}

// copyOf makes a database of the test's own from a template.
func copyOf(t *testing.T, template string) string {
	t.Helper()
	u, err := url.Parse(template)
	if err != nil {
		t.Fatal(err)
	}
	from := strings.TrimPrefix(u.Path, "/")
	u.Path = "/postgres"
	admin := u.String()
	test := sha256.Sum256([]byte(t.Name())) // Postgres cuts names at 63 bytes
	name := fmt.Sprintf("%s_%x", from, test[:10])
	execute(t, admin, fmt.Sprintf("CREATE DATABASE %q TEMPLATE %q", name, from))
	t.Cleanup(func() { execute(t, admin, fmt.Sprintf("DROP DATABASE %q WITH (FORCE)", name)) })
	u.Path = "/" + name
	return u.String()
}

func execute(t *testing.T, database, statements string) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context()) // also at the end of a test
	conn, err := pgx.Connect(ctx, database)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(ctx, statements); err != nil {
		t.Error(err)
	}
	if err := conn.Close(ctx); err != nil {
		t.Error(err)
	}
}

// check runs the database's checks and nothing of the broker's.
func check(t *testing.T, database string) *verify.Report {
	t.Helper()
	report, err := verify.Run(t.Context(), verify.Config{}, verify.Deps{
		Open: func(ctx context.Context) (verify.Database, error) { return Open(ctx, database) },
	})
	if err != nil {
		t.Fatal(err)
	}
	report.Results = slices.DeleteFunc(report.Results, func(r verify.Result) bool {
		return !slices.Contains(verify.Queries(), r.Check)
	})
	return report
}
