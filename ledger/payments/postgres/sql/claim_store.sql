-- Stores the claims with the exact parameters of their calls, before any is sent: $1
-- donations, $2 attempts, $3 parameters (those stored before stay), $4 the holder, $5 the
-- clock's offset, $6 after how long a claim lapses. Index: attempts_pkey.
UPDATE attempts a
SET state = 2, tier = 1, claimed_by = $4, calls = a.calls + 1,
    not_before = clock.now + $6::interval,
    params = coalesce(a.params, c.params),
    first_called_at = coalesce(a.first_called_at, clock.now),
    changed_at = CASE WHEN a.state = 2 THEN a.changed_at ELSE clock.now END
FROM unnest($1::uuid[], $2::integer[], $3::bytea[]) AS c (donation_id, attempt_no, params),
    (SELECT clock_timestamp() + $5::interval AS now) AS clock
WHERE a.donation_id = c.donation_id AND a.attempt_no = c.attempt_no
