-- Notes that the replay of restore $1 has ended, and gives attempts that waited for it
-- their turn, at most $2 in one statement; $3 is the clock's offset. Whatever is locked is
-- left for the next time: no other statement locks attempts without their payments, and
-- this one never waits. Indexes: replays_pkey, attempts_look, attempts_pkey.
WITH ended AS (
    INSERT INTO replays (epoch) VALUES ($1) ON CONFLICT DO NOTHING
), waiting AS MATERIALIZED (
    SELECT donation_id, attempt_no
    FROM attempts
    WHERE look_first AND state <= 2 AND not_before > clock_timestamp() + interval '50 years'
    LIMIT $2::integer
    FOR UPDATE SKIP LOCKED
)
UPDATE attempts a
SET not_before = clock_timestamp() + $3::interval
FROM waiting w
WHERE a.donation_id = w.donation_id AND a.attempt_no = w.attempt_no
