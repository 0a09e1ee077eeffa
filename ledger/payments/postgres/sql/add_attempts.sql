-- Adds attempts with another card; due at once, and first calls like any other. One
-- that a donor offered before the last restore may have been called since, and is looked
-- for first. Index: attempts_pkey, which allows each number once; restores_pkey.
INSERT INTO attempts (donation_id, attempt_no, state, source, token, token_expires_at, request, not_before, changed_at, first_called_at,
    look_first, tier, charge, client_secret, action_by, reason, decline)
SELECT u.donation_id, u.attempt_no, u.state, u.source, u.token, u.token_expires_at, u.request, u.changed_at, u.changed_at,
    coalesce(u.first_called_at, CASE WHEN lost.look_before IS NOT NULL THEN u.changed_at END),
    u.look_first OR lost.look_before IS NOT NULL, CASE WHEN lost.look_before IS NOT NULL THEN 3 ELSE 0 END, u.charge, u.client_secret, u.action_by, u.reason, u.decline
FROM unnest($1::uuid[], $2::integer[], $3::smallint[], $4::bigint[], $5::text[], $6::timestamptz[], $7::uuid[], $8::timestamptz[], $9::timestamptz[],
        $10::boolean[], $11::text[], $12::text[], $13::timestamptz[], $14::text[], $15::text[])
    AS u (donation_id, attempt_no, state, source, token, token_expires_at, request, changed_at, first_called_at, look_first, charge,
        client_secret, action_by, reason, decline)
    LEFT JOIN (SELECT r.look_before FROM restores r ORDER BY r.epoch DESC LIMIT 1) AS lost ON u.changed_at < lost.look_before
ORDER BY u.donation_id, u.attempt_no
