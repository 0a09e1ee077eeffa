-- The next entries of a slot's chain. They become visible in their order, because the
-- end of the chain is locked until they are committed. Index: entries_pkey.
SELECT e.n, e.donation_id FROM %[1]s.entries e
WHERE e.slot = $1
  AND e.n > $2
ORDER BY e.n
LIMIT $3
