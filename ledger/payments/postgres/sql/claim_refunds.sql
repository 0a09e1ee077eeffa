-- Refunds to be made at the processor, each left to one process for the time of a
-- claim. Its row never changes what it asks for, so a repeated call is the same
-- call. Indexes: refunds_open, payments_pkey, donations_pkey.
WITH due AS (
    SELECT refund
    FROM refunds
    WHERE status IN ('requested', 'calling') AND not_before <= clock_timestamp()
    ORDER BY not_before
    LIMIT $1
    FOR NO KEY UPDATE SKIP LOCKED
), claimed AS (
    UPDATE refunds r
    SET status = 'calling', not_before = clock_timestamp() + $2::interval, changed_at = now()
    FROM due
    WHERE r.refund = due.refund
    RETURNING r.refund, r.donation_id, r.amount_minor, r.lines, r.first_called_at
)
SELECT c.refund, c.donation_id, p.intent, p.charge, c.amount_minor, d.currency, c.lines, c.first_called_at
FROM claimed c
JOIN payments p ON p.donation_id = c.donation_id
JOIN donations d ON d.id = c.donation_id
