-- Writes attempts whose rows this transaction has locked. A claim ends with its
-- call: claimed_by stays only while the outcome is not known. A call that is to be
-- made again later stands in the line of those (tier 3). An attempt that nobody calls
-- any more needs no turn; canceling its intent may begin. Nobody is put off for longer
-- than $14 by the database's clock with its offset $13, however far ahead the clock is
-- of the process that asks to wait. Index: attempts_pkey.
UPDATE attempts a
SET state = u.state, first_called_at = u.first_called_at, look_first = u.look_first, changed_at = u.changed_at, charge = u.charge,
    client_secret = u.client_secret, action_by = u.action_by, reason = u.reason, decline = u.decline,
    calls = CASE WHEN u.state = 1 AND u.first_called_at IS NULL THEN 0 ELSE a.calls END, -- as if never called
    not_before = CASE WHEN u.state <= 2 THEN coalesce(least(u.not_before, clock_timestamp() + $13::interval + $14::interval), a.not_before) ELSE u.changed_at END,
    tier = CASE WHEN u.not_before IS NULL THEN a.tier ELSE 3 END,
    claimed_by = CASE WHEN u.state = 2 AND u.not_before IS NULL THEN a.claimed_by ELSE '' END
FROM unnest($1::uuid[], $2::integer[], $3::smallint[], $4::timestamptz[], $5::boolean[], $6::timestamptz[], $7::text[], $8::text[],
        $9::timestamptz[], $10::text[], $11::text[], $12::timestamptz[])
    AS u (donation_id, attempt_no, state, first_called_at, look_first, changed_at, charge, client_secret, action_by, reason, decline, not_before)
WHERE a.donation_id = u.donation_id AND a.attempt_no = u.attempt_no
