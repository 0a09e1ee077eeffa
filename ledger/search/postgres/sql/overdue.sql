-- Donations that are to be looked at again, those that wait longest first.
-- Indexes: search_states_look, search_donations_pkey.
SELECT d.id
FROM (
    SELECT s.seq FROM search_states s
    WHERE s.look_at IS NOT NULL
      AND s.look_at <= now()
    ORDER BY s.look_at
    LIMIT $1
) AS s
JOIN search_donations d ON d.seq = s.seq
