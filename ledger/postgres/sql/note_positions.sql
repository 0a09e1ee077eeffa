-- Notes how far streams are in these books: $1 streams, $2 when they were made, $3
-- sequences. Of two notes in one hour the one that is further stays, unless the stream
-- was made anew. Index: stream_positions_pkey.
INSERT INTO stream_positions AS p (stream, made_at, sequence, hour, noted_at)
SELECT u.stream, u.made_at, u.sequence, date_trunc('hour', clock.now), clock.now
FROM unnest($1::text[], $2::timestamptz[], $3::bigint[]) AS u (stream, made_at, sequence),
    (SELECT clock_timestamp() AS now) AS clock
ORDER BY u.stream
ON CONFLICT (stream, hour) DO UPDATE
SET made_at = excluded.made_at, sequence = excluded.sequence, noted_at = excluded.noted_at
WHERE p.made_at <> excluded.made_at OR p.sequence <= excluded.sequence
