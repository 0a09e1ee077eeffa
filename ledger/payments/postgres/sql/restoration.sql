-- The last restore of this database and what is left of it to do: whether its replay has
-- ended, since when donations wait for their attempts, whether calls are still to be
-- looked for, and whether this book is charged at all. No row when it was never restored.
-- Indexes: restores_pkey, replays_pkey, due_batches_pkey, attempts_look, payments_pkey.
SELECT r.epoch, r.lost_since, r.replay_to, r.restored_at, clock_timestamp(),
    EXISTS (SELECT 1 FROM replays e WHERE e.epoch = r.epoch),
    (SELECT b.recorded_at FROM due_batches b ORDER BY b.batch LIMIT 1),
    EXISTS (SELECT 1 FROM attempts a WHERE a.look_first AND a.state <= 2),
    EXISTS (SELECT 1 FROM payments p)
FROM restores r
ORDER BY r.epoch DESC
LIMIT 1
