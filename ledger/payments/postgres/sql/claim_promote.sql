-- Moves attempts whose turn has come to the line of those who may go. $1 is the
-- clock's offset, $2 bounds the rows. Indexes: attempts_waiting, attempts_pkey.
WITH ripe AS MATERIALIZED (
    SELECT donation_id, attempt_no
    FROM attempts
    WHERE state = 1 AND tier >= 2 AND not_before <= (SELECT clock_timestamp() + $1::interval)
    ORDER BY not_before
    LIMIT $2::integer
    FOR UPDATE SKIP LOCKED
)
UPDATE attempts a
SET tier = a.tier - 2
FROM ripe
WHERE a.donation_id = ripe.donation_id AND a.attempt_no = ripe.attempt_no
