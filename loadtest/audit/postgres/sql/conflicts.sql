-- Recorded conflicts of an ID range. Index: conflicts_pkey.
SELECT id, fingerprint
FROM conflicts
WHERE id BETWEEN $1 AND $2
