-- Intents that are to be canceled at the processor (payments.CancelAtProcessor); each
-- is left to one process for the time of a claim. The turn of such an attempt is free
-- for that: nobody calls it. Indexes: payments_to_cancel, attempts_pkey.
WITH due AS (
    SELECT a.donation_id, a.attempt_no, p.intent, p.cancel
    FROM payments p
    JOIN attempts a ON a.donation_id = p.donation_id AND a.attempt_no = p.attempt_no
    WHERE p.cancel <> 0 AND p.intent <> '' AND p.charge = ''
      AND a.state IN (3, 5, 6) AND a.not_before <= clock_timestamp() + $3::interval
    ORDER BY p.changed_at
    LIMIT $1
    FOR NO KEY UPDATE OF a SKIP LOCKED
)
UPDATE attempts a
SET not_before = clock_timestamp() + $3::interval + $2::interval
FROM due
WHERE a.donation_id = due.donation_id AND a.attempt_no = due.attempt_no
RETURNING due.donation_id, due.attempt_no, due.intent, due.cancel
