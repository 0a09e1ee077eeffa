-- How many payments wait for an answer, or were captured and wait for their fee, since
-- before $1, and when the first of their calls was made. One that the processor works on
-- and one that was captured are found by their intent, which was made with the first
-- card. Indexes: attempts_open, attempts_pkey, payments_feeless.
SELECT count(*), min(called_at)
FROM (
    SELECT CASE WHEN state = 4 AND attempt_no > 1
        THEN (SELECT min(f.first_called_at) FROM attempts f WHERE f.donation_id = a.donation_id)
        ELSE first_called_at END AS called_at
    FROM attempts a
    WHERE state BETWEEN 2 AND 4 AND first_called_at <= $1
    UNION ALL
    SELECT coalesce((SELECT min(f.first_called_at) FROM attempts f WHERE f.donation_id = p.donation_id), p.captured_at)
    FROM payments p
    WHERE p.charge <> '' AND p.fee_minor IS NULL AND p.captured_at <= $1
) AS stuck
