-- What donors asked for that is not done yet, oldest first; requests whose donation
-- is not recorded yet wait for it. Indexes: requests_open, donations_pkey.
SELECT r.request, r.donation_id, r.kind, r.token, r.expires_at, r.received_at
FROM requests r
WHERE r.done_at IS NULL AND EXISTS (SELECT 1 FROM donations d WHERE d.id = r.donation_id)
ORDER BY r.recorded_at, r.received_at, r.request
LIMIT $1
