-- The cards that were offered. Index: attempts_pkey.
SELECT a.attempt_no, a.state, a.reason, a.decline, a.charge, a.calls, a.token_expires_at, a.first_called_at, a.changed_at
FROM %[1]s.attempts a
WHERE a.donation_id = $1
ORDER BY a.attempt_no
