-- What donors asked for that is not done yet, oldest first; requests whose donation
-- is not recorded yet wait for it. Another card that was offered before the last restore
-- waits until it is known again what became of the card before it: a card is only taken
-- when the one before has failed. Indexes: requests_open, donations_pkey, payments_pkey,
-- attempts_look.
SELECT r.request, r.donation_id, r.kind, r.token, r.expires_at, r.received_at
FROM requests r
WHERE r.done_at IS NULL AND EXISTS (SELECT 1 FROM donations d WHERE d.id = r.donation_id)
    AND NOT (r.kind = 'attempt'
        AND r.received_at < (SELECT max(e.look_before) FROM restores e)
        AND (NOT EXISTS (SELECT 1 FROM payments p WHERE p.donation_id = r.donation_id)
            OR EXISTS (SELECT 1 FROM attempts a WHERE a.donation_id = r.donation_id AND a.look_first AND a.state <= 2)))
ORDER BY r.recorded_at, r.received_at, r.request
LIMIT $1
