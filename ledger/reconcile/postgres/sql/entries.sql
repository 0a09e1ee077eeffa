-- The entries that occurred in a time, in any order. Reads the table: a report may, and
-- no index of the journal pays for it.
SELECT kind, ref, donation_id, occurred_at, actor, reason, accounts, currencies, amounts
FROM entries
WHERE occurred_at >= $1 AND occurred_at < $2
