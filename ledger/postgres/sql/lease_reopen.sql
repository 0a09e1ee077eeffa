-- Takes the lowest closed slot, if there is one that nobody else is taking. The
-- lease row is locked first, the term's second: everywhere in this order.
-- Indexes: slot_leases_pkey, slot_terms_pkey.
WITH free AS (
    SELECT slot FROM slot_leases WHERE closed ORDER BY slot LIMIT 1 FOR UPDATE SKIP LOCKED
), taken AS (
    UPDATE slot_terms t
    SET term = t.term + 1, epoch = i.epoch
    FROM free, installation i
    WHERE t.slot = free.slot
    RETURNING t.slot, t.term, t.epoch
), leased AS (
    UPDATE slot_leases l
    SET term = taken.term, until = clock_timestamp() + $2::interval, closed = false, holder = $1
    FROM taken
    WHERE l.slot = taken.slot
)
SELECT slot, term, epoch FROM taken
