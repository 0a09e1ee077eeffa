-- Notes which entries of a slot's chain are about which donation, and how far the
-- chain was followed. Indexes: search_entries_pkey, search_slots_pkey.
WITH noted AS (
    INSERT INTO search_entries (donation_id, slot, n)
    SELECT u.donation_id, $1, u.n
    FROM unnest($3::uuid[], $4::bigint[]) AS u (donation_id, n)
    ORDER BY u.donation_id, u.n
    ON CONFLICT DO NOTHING
)
INSERT INTO search_slots AS s (slot, n) VALUES ($1, $2)
ON CONFLICT (slot) DO UPDATE SET n = greatest(s.n, excluded.n)
