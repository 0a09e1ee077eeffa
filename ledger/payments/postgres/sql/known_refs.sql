-- Which movements are booked already. Index: entries_ref_once.
SELECT ref
FROM entries
WHERE ref = ANY ($1::text[])
