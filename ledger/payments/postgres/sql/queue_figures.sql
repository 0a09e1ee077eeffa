-- Notes the queue's length for donors' questions, by the database's own clock: $1 is
-- since when its first waits, $2 the offset that is in it. Of two counts the later stays.
INSERT INTO queue_figures AS f (counted_at, oldest_at, due, per_second)
VALUES (clock_timestamp(), $1::timestamptz - $2::interval, $3, $4)
ON CONFLICT (only_row) DO UPDATE
SET counted_at = excluded.counted_at, oldest_at = excluded.oldest_at, due = excluded.due, per_second = excluded.per_second
WHERE f.counted_at <= excluded.counted_at
