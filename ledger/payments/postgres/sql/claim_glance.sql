-- Whether anything could be claimed now and, when nothing can, when the next thing
-- can be: what an idle queue is asked, without a lock. $1 is the clock's offset.
-- Indexes: attempts_due, attempts_waiting, attempts_lapsed.
WITH clock AS MATERIALIZED (
    SELECT clock_timestamp() + $1::interval AS now
), soonest AS MATERIALIZED (
    SELECT least(
        (SELECT not_before FROM attempts WHERE state = 1 AND tier >= 2 ORDER BY not_before LIMIT 1),
        (SELECT not_before FROM attempts WHERE state = 2 ORDER BY not_before LIMIT 1)
    ) AS at
)
SELECT clock.now,
    EXISTS (SELECT 1 FROM attempts WHERE state = 1 AND tier = 0 AND token_expires_at > clock.now)
        OR EXISTS (SELECT 1 FROM attempts WHERE state = 1 AND tier = 1)
        OR EXISTS (SELECT 1 FROM attempts WHERE state = 1 AND tier = 2)
        OR coalesce(soonest.at <= clock.now, false),
    soonest.at
FROM clock, soonest
