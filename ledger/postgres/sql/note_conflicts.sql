-- Keeps the losers of a conflict; those already kept stay as they are. Index: conflicts_pkey.
INSERT INTO conflicts (id, fingerprint, received_at, record)
SELECT c.id, c.fingerprint, c.received_at, c.record
FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::bytea[]) AS c (id, fingerprint, received_at, record)
ORDER BY c.id, c.fingerprint
ON CONFLICT DO NOTHING
