-- How many payments wait for an answer since before $1, and when the first of their
-- calls was made. One that the processor works on is found by its intent, which was
-- made with the first card. Indexes: attempts_open, attempts_pkey.
SELECT count(*), min(CASE WHEN state = 4 AND attempt_no > 1
    THEN (SELECT min(f.first_called_at) FROM attempts f WHERE f.donation_id = a.donation_id)
    ELSE first_called_at END)
FROM attempts a
WHERE state BETWEEN 2 AND 4 AND first_called_at <= $1
