-- The next donations of the ledger by their ID. Index: donations_pkey.
SELECT d.id FROM %[1]s.donations d
WHERE d.id > $1
ORDER BY d.id
LIMIT $2
