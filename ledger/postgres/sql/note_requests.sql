-- Stores donors' further wishes; those that are stored stay as they are, and of two
-- with one ID in the same call the first is taken. Uses requests_pkey.
INSERT INTO requests (request, donation_id, kind, token, expires_at, received_at)
SELECT r.request, r.donation_id, r.kind, r.token, r.expires_at, r.received_at
FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::timestamptz[], $6::timestamptz[])
    WITH ORDINALITY AS r (request, donation_id, kind, token, expires_at, received_at, place)
ORDER BY r.place
ON CONFLICT (request) DO NOTHING
