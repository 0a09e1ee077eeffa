-- Whether a command that was asked for at $1 was asked for before the last restore, and
-- that restore is younger than $2: what it is about may not be found again yet.
-- Index: restores_pkey.
SELECT EXISTS (
    SELECT 1 FROM restores r
    WHERE r.look_before > $1::timestamptz AND r.restored_at > clock_timestamp() - $2::interval
)
