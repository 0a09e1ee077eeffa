-- How many payments wait for an answer since before $1, and when the first of their
-- calls was made. Index: attempts_open.
SELECT count(*), min(first_called_at)
FROM attempts
WHERE state BETWEEN 2 AND 4 AND first_called_at <= $1
