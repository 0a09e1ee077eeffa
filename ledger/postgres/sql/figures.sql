-- The queue of charges as payments last counted it, and how long ago that was by the
-- database's clock. One row or none: no index.
SELECT due, per_second, oldest_at, counted_at, clock_timestamp()
FROM queue_figures
