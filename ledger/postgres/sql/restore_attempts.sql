-- Has everything that was due or under way at the time of a backup looked for at the
-- processor before it is called: it may have been called since, as early as when the
-- donation was accepted. It waits until the replay has ended. Whoever had claimed it is
-- gone. Indexes: attempts_due, attempts_lapsed, donations_pkey.
UPDATE attempts a
SET look_first = true, calls = 0, claimed_by = '',
    first_called_at = least(a.first_called_at, d.received_at, clock_timestamp()),
    not_before = clock_timestamp() + interval '100 years',
    tier = CASE WHEN a.state = 1 THEN 3 ELSE a.tier END
FROM donations d
WHERE d.id = a.donation_id AND a.state IN (1, 2)
