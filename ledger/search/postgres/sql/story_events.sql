-- What the processor told us. No index: the ledger pays for none, and a look through
-- millions of them takes about a second, in parallel.
SELECT e.event_id, e.type, e.created_at, e.recorded_at, e.parked IS NOT NULL
FROM %[1]s.processor_events e
WHERE e.donation_id = $1
ORDER BY e.recorded_at, e.event_id
LIMIT 1000
