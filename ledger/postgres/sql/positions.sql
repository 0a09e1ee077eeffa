-- The newest note of each stream that was made before $1, NULL for the newest of all. A
-- handful of rows a day and stream: no index but stream_positions_pkey.
SELECT DISTINCT ON (stream) stream, made_at, sequence, noted_at
FROM stream_positions
WHERE $1::timestamptz IS NULL OR noted_at < $1
ORDER BY stream, noted_at DESC
