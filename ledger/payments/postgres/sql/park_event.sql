-- Keeps an event whole whose donation is not there yet; one that is known stays as
-- it is. Index: processor_events_pkey.
INSERT INTO processor_events (event_id, type, created_at, verdict, donation_id, parked, look_at)
VALUES ($1, $2, $3, $4, $5, $6, clock_timestamp())
ON CONFLICT (event_id) DO NOTHING
