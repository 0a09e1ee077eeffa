-- Locks what may be called now, with all that its call needs: $2 first calls by the
-- expiry of their tokens (line 0); repeats, at least $3 of them if there are (line 1):
-- calls that surely were not made, and claims that lapsed; and what is beyond its
-- source's share, by turns, as far as nobody else waits (line 2). More than $2 rows in
-- all: the caller chooses. $1 is the clock's offset.
--
-- A call first made longer than $4 ago is looked for first, whether or not that was
-- noted: after an outage a claim may be faster than the note.
--
-- The payment is locked with its attempt, so that a fact being applied and a claim
-- never meet; whatever somebody else has locked is left for the next claim.
-- Indexes: attempts_due, attempts_lapsed, attempts_waiting, payments_pkey,
-- donations_pkey, lines_pkey.
WITH clock AS MATERIALIZED (
    SELECT clock_timestamp() + $1::interval AS now
), first AS MATERIALIZED (
    SELECT 0 AS line, donation_id, attempt_no, token, token_expires_at, not_before, params, first_called_at, look_first
    FROM attempts
    WHERE state = 1 AND tier = 0 AND token_expires_at > (SELECT now FROM clock)
    ORDER BY token_expires_at
    LIMIT $2::integer
    FOR UPDATE SKIP LOCKED
), again AS MATERIALIZED (
    SELECT 1 AS line, donation_id, attempt_no, token, token_expires_at, not_before, params, first_called_at, look_first
    FROM attempts
    WHERE state = 1 AND tier = 1 AND not_before <= (SELECT now FROM clock)
      AND (token_expires_at > (SELECT now FROM clock) OR first_called_at IS NOT NULL)
    ORDER BY token_expires_at
    LIMIT greatest($3::integer, $2::integer - (SELECT count(*) FROM first))
    FOR UPDATE SKIP LOCKED
), lapsed AS MATERIALIZED (
    SELECT 1 AS line, donation_id, attempt_no, token, token_expires_at, not_before, params, first_called_at, look_first
    FROM attempts
    WHERE state = 2 AND not_before <= (SELECT now FROM clock)
    ORDER BY not_before
    LIMIT greatest($3::integer, $2::integer - (SELECT count(*) FROM first))
    FOR UPDATE SKIP LOCKED
), spare AS MATERIALIZED (
    SELECT 2 AS line, donation_id, attempt_no, token, token_expires_at, not_before, params, first_called_at, look_first
    FROM attempts
    WHERE state = 1 AND tier = 2 AND token_expires_at > (SELECT now FROM clock)
    ORDER BY not_before
    LIMIT greatest(0, $2::integer - (SELECT count(*) FROM first) - (SELECT count(*) FROM again) - (SELECT count(*) FROM lapsed))
    FOR UPDATE SKIP LOCKED
), picked AS MATERIALIZED (
    SELECT line, donation_id, attempt_no, token, token_expires_at, not_before, params, first_called_at, look_first FROM first UNION ALL
    SELECT line, donation_id, attempt_no, token, token_expires_at, not_before, params, first_called_at, look_first FROM again UNION ALL
    SELECT line, donation_id, attempt_no, token, token_expires_at, not_before, params, first_called_at, look_first FROM lapsed UNION ALL
    SELECT line, donation_id, attempt_no, token, token_expires_at, not_before, params, first_called_at, look_first FROM spare
)
SELECT k.line, k.donation_id, k.attempt_no, d.currency, d.amount_minor, p.intent, k.token, k.params, k.first_called_at,
    k.look_first OR coalesce(k.first_called_at <= (SELECT now FROM clock) - $4::interval, false),
    ARRAY(SELECT l.campaign FROM lines l WHERE l.donation_seq = d.seq ORDER BY l.line_no), p.cancel
FROM picked k
JOIN payments p ON p.donation_id = k.donation_id
JOIN donations d ON d.id = k.donation_id
ORDER BY k.line, CASE WHEN k.line < 2 THEN k.token_expires_at ELSE k.not_before END, k.donation_id
FOR UPDATE OF p SKIP LOCKED
