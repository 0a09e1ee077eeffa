-- Looks at parked events whose time it is, the longest waiting first, and returns
-- those that can be tried: their donation is there, or nobody knows whose they are.
-- Each is looked at again after a quarter of its age, so that events that wait for
-- ever cost nothing. Processes skip each other's. Indexes: processor_events_parked,
-- donations_pkey.
WITH due AS (
    SELECT event_id
    FROM processor_events
    WHERE parked IS NOT NULL AND look_at <= clock_timestamp()
    ORDER BY look_at
    LIMIT $1
    FOR UPDATE SKIP LOCKED
), looked AS (
    UPDATE processor_events e
    SET look_at = clock_timestamp() + least(greatest((clock_timestamp() - e.recorded_at) / 4, interval '1 second'), interval '10 minutes')
    FROM due
    WHERE e.event_id = due.event_id
    RETURNING e.event_id, e.type, e.created_at, e.parked, e.donation_id, e.recorded_at
)
SELECT l.event_id, l.type, l.created_at, l.parked, l.donation_id
FROM looked l
WHERE l.donation_id IS NULL OR EXISTS (SELECT 1 FROM donations d WHERE d.id = l.donation_id)
ORDER BY l.recorded_at, l.event_id
