-- Locks and reads the attempts of some donations, so that none of them is claimed
-- meanwhile. Claiming skips what is locked. Index: attempts_pkey.
SELECT donation_id, attempt_no, state, token, token_expires_at, request, not_before, first_called_at, look_first, changed_at,
    charge, client_secret, action_by, reason, decline, calls
FROM attempts
WHERE donation_id = ANY ($1::uuid[])
ORDER BY donation_id, attempt_no
FOR NO KEY UPDATE
