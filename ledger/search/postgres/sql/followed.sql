-- Notes which entries of a slot's chain are about which donation, and how far the
-- chain was followed: only from where it was followed to when the entries were read,
-- because somebody may have thrown all of it away since.
-- Indexes: search_entries_pkey, search_slots_pkey.
WITH still AS (
    SELECT FROM (SELECT coalesce((SELECT s.n FROM search_slots s WHERE s.slot = $1), 0) AS n) AS now
    WHERE now.n = $5
), noted AS (
    INSERT INTO search_entries (donation_id, slot, n)
    SELECT u.donation_id, $1, u.n
    FROM unnest($3::uuid[], $4::bigint[]) AS u (donation_id, n)
    WHERE EXISTS (SELECT FROM still)
    ORDER BY u.donation_id, u.n
    ON CONFLICT DO NOTHING
)
INSERT INTO search_slots AS s (slot, n)
SELECT $1, $2
WHERE EXISTS (SELECT FROM still)
ON CONFLICT (slot) DO UPDATE SET n = excluded.n
