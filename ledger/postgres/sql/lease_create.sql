-- Makes a slot that never was, not even in a book that was emptied since. Two processes may want the same number: one of them
-- meets slot_terms_pkey and asks again.
WITH made AS (
    INSERT INTO slot_terms (slot, term, epoch)
    SELECT 1 + greatest(i.ended_slot, (SELECT max(slot) FROM slot_terms)), 1, i.epoch
    FROM installation i
    RETURNING slot, term, epoch
), leased AS (
    INSERT INTO slot_leases (slot, term, until, closed, holder)
    SELECT slot, term, clock_timestamp() + $2::interval, false, $1
    FROM made
)
SELECT slot, term, epoch FROM made
