-- Makes the payments and the first attempts of recorded donations, each once; it
-- skips those that have theirs and those that are not recorded. $1 are IDs, $2 is the
-- clock's offset, $3 the time between two turns of one source.
--
-- A source's turns follow each other at that distance, after the last one that was
-- given to it and is not used up; what comes before its turn stands in line 2. The
-- caller holds the lock of turns, so that no two transactions give the same.
-- Indexes: donations_pkey, attempts_turns, payments_pkey, attempts_pkey.
WITH clock AS MATERIALIZED (
    SELECT clock_timestamp() + $2::interval AS now
), paid AS (
    INSERT INTO payments (donation_id, attempt_no, status, changed_at)
    SELECT d.id, 1, 'accepted', clock.now
    FROM donations d, clock
    WHERE d.id = ANY ($1::uuid[])
    ORDER BY d.id
    ON CONFLICT DO NOTHING
    RETURNING donation_id
), due AS MATERIALIZED (
    SELECT d.id, d.source, d.confirmation_token, d.token_expires_at, d.recorded_at,
        row_number() OVER (PARTITION BY d.source ORDER BY d.token_expires_at, d.id) - 1 AS place
    FROM paid JOIN donations d ON d.id = paid.donation_id
), turns AS MATERIALIZED (
    SELECT s.source, greatest(clock.now, last.turn + $3::interval) AS first
    FROM (SELECT DISTINCT source FROM due) s
    CROSS JOIN clock
    LEFT JOIN LATERAL (
        SELECT a.not_before AS turn
        FROM attempts a
        WHERE a.state = 1 AND a.tier IN (0, 2) AND a.source = s.source
        ORDER BY a.not_before DESC
        LIMIT 1
    ) last ON true
), placed AS (
    SELECT due.*, turns.first + due.place * $3::interval AS turn
    FROM due JOIN turns USING (source)
)
INSERT INTO attempts (donation_id, attempt_no, state, source, token, token_expires_at, tier, not_before, changed_at)
SELECT p.id, 1, 1, p.source, p.confirmation_token, p.token_expires_at,
    CASE WHEN p.turn > clock.now THEN 2 ELSE 0 END, p.turn, p.recorded_at + $2::interval
FROM placed p CROSS JOIN clock
ORDER BY p.id
ON CONFLICT DO NOTHING
