-- Events of the processor that are kept until their donation is there. One that waits
-- for long is about a donation that was lost, or about somebody else's.
-- examined
SELECT count(*) FROM processor_events
-- offenders
SELECT event_id, format('%s, waits since %s', type, recorded_at)
FROM processor_events
WHERE parked IS NOT NULL
