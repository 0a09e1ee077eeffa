-- Attempts that a time has passed for, as of $1, or of the database's own clock with
-- its offset $4 where that is behind: one process whose clock is ahead fails nobody: tokens that expired before any call
-- that may have been carried out (kind 1), donors who did not come back to act (2),
-- calls that the processor may have forgotten, first made longer than $2 ago (3). At most $3
-- of each.
-- Indexes: attempts_due, attempts_action, attempts_open.
WITH clock AS MATERIALIZED (
    SELECT least($1::timestamptz, clock_timestamp() + $4::interval) AS now
)
(SELECT 1, donation_id, attempt_no, token_expires_at
 FROM attempts
 WHERE state = 1 AND tier IN (0, 1, 2, 3) AND token_expires_at <= (SELECT now FROM clock) AND first_called_at IS NULL
 ORDER BY token_expires_at
 LIMIT $3::integer)
UNION ALL
(SELECT 2, a.donation_id, a.attempt_no, a.action_by
 FROM attempts a JOIN payments p ON p.donation_id = a.donation_id
 WHERE a.state = 3 AND a.action_by <= (SELECT now FROM clock) AND p.cancel = 0
 ORDER BY a.action_by
 LIMIT $3::integer)
UNION ALL
(SELECT 3, donation_id, attempt_no, first_called_at
 FROM attempts
 WHERE state = 2 AND first_called_at <= (SELECT now FROM clock) - $2::interval AND NOT look_first
 ORDER BY first_called_at
 LIMIT $3::integer)
