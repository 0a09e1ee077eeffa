-- Some entries by what they are. Index: entries_ref_once.
SELECT kind, ref, donation_id, occurred_at, actor, reason, accounts, currencies, amounts
FROM entries
WHERE ref = ANY ($1::text[])
