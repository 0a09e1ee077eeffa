-- The queue's length, and since when its first waits. Index scans of its partial
-- indexes: as long as the queue is. $1 bounds how much of it is counted.
SELECT
    (SELECT coalesce(sum(count - expanded), 0) FROM due_batches),
    (SELECT min(recorded_at) FROM (SELECT recorded_at FROM due_batches ORDER BY batch LIMIT 1) AS b),
    (SELECT count(*) FROM (SELECT 1 FROM attempts WHERE state = 2 LIMIT $1::integer) AS c),
    (SELECT count(*) FROM (SELECT 1 FROM attempts WHERE state = 3 LIMIT $1::integer) AS a)
