-- The journal's entries about a donation. Indexes: search_entries_pkey, entries_pkey.
SELECT e.slot, e.n, e.kind, e.ref, e.actor, e.reason, e.occurred_at, e.booked_at, e.accounts, e.currencies, e.amounts
FROM search_entries i
JOIN %[1]s.entries e ON e.slot = i.slot AND e.n = i.n
WHERE i.donation_id = $1
ORDER BY e.booked_at, e.slot, e.n
