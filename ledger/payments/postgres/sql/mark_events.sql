-- Marks events as dealt with, in the transaction of their effect; one that was
-- parked gives its body up. Index: processor_events_pkey.
INSERT INTO processor_events AS e (event_id, type, created_at, verdict, donation_id)
SELECT u.event_id, u.type, u.created_at, u.verdict, u.donation_id
FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::smallint[], $5::uuid[]) AS u (event_id, type, created_at, verdict, donation_id)
ORDER BY u.event_id
ON CONFLICT (event_id) DO UPDATE
SET verdict = excluded.verdict, donation_id = excluded.donation_id, parked = NULL
WHERE e.parked IS NOT NULL
