-- A part of a slot's chain, in its order. Index: entries_pkey.
SELECT n, kind, ref, donation_id, occurred_at, actor, reason, accounts, currencies, amounts
FROM entries
WHERE slot = $1 AND n > $2 AND n <= $3
ORDER BY n
