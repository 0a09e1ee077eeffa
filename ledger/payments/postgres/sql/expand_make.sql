-- Makes the payments and the first attempts of recorded donations, each once; it
-- skips those that have theirs and those that are not recorded. $1 are IDs, $2 is the
-- clock's offset, $3 the time between two turns of one source.
--
-- A source's turns follow each other at that distance, after the last one that was
-- given to it and is not used up; what comes before its turn stands in line 2. The
-- caller holds the lock of turns, so that no two transactions give the same.
--
-- A donation that was accepted before the last restore may have been charged by a
-- process whose notes were lost: it is looked for first, as if its call had been made
-- when it was accepted, and not before the replay has ended, which brings what the
-- processor told since and what the donor wanted.
-- Indexes: donations_pkey, attempts_turns, payments_pkey, attempts_pkey, restores_pkey,
-- replays_pkey.
WITH clock AS MATERIALIZED (
    SELECT clock_timestamp() + $2::interval AS now
), lost AS MATERIALIZED (
    SELECT r.look_before,
        CASE WHEN EXISTS (SELECT 1 FROM replays e WHERE e.epoch = r.epoch) THEN clock.now ELSE clock.now + interval '100 years' END AS turn
    FROM restores r CROSS JOIN clock
    ORDER BY r.epoch DESC
    LIMIT 1
), paid AS (
    INSERT INTO payments (donation_id, attempt_no, status, changed_at)
    SELECT d.id, 1, 'accepted', clock.now
    FROM donations d, clock
    WHERE d.id = ANY ($1::uuid[])
    ORDER BY d.id
    ON CONFLICT DO NOTHING
    RETURNING donation_id
), due AS MATERIALIZED (
    SELECT d.id, d.source, d.confirmation_token, d.token_expires_at, d.recorded_at, d.received_at,
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
INSERT INTO attempts (donation_id, attempt_no, state, source, token, token_expires_at, tier, not_before, changed_at, look_first, first_called_at)
SELECT p.id, 1, 1, p.source, p.confirmation_token, p.token_expires_at,
    CASE WHEN lost.turn IS NOT NULL THEN 3 WHEN p.turn > clock.now THEN 2 ELSE 0 END,
    coalesce(lost.turn, p.turn), p.recorded_at + $2::interval,
    lost.turn IS NOT NULL, CASE WHEN lost.turn IS NOT NULL THEN least(p.received_at, clock.now) END
FROM placed p CROSS JOIN clock LEFT JOIN lost ON p.received_at < lost.look_before
ORDER BY p.id
ON CONFLICT DO NOTHING
