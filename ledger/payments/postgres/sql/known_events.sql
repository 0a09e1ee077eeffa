-- Which of the events were dealt with before; one that is parked was not.
-- Index: processor_events_pkey.
SELECT event_id
FROM processor_events
WHERE event_id = ANY ($1::text[]) AND parked IS NULL
