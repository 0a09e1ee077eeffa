-- Attempts whose token expired before any call that may have been carried out, as of $1. Index: attempts_due.
SELECT donation_id, attempt_no
FROM attempts
WHERE state = 1 AND tier IN (0, 1, 2, 3) AND token_expires_at <= $1 AND first_called_at IS NULL
LIMIT $2::integer
