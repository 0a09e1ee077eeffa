-- Keeps an event whole whose donation is not there yet; one that is known stays as
-- it is. One of the time before the book was emptied is about what was removed, and is
-- not kept. Index: processor_events_pkey.
INSERT INTO processor_events (event_id, type, created_at, verdict, donation_id, parked, look_at)
SELECT $1::text, $2::text, $3::timestamptz, $4::smallint, $5::uuid, $6::bytea, clock_timestamp()
WHERE NOT EXISTS (SELECT 1 FROM installation WHERE emptied_at >= $3)
ON CONFLICT (event_id) DO NOTHING
