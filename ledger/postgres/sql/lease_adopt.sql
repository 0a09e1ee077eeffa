-- Takes over one slot if it is still lapsed: the term rises, which fences the
-- process that held it. The change of the term waits for transactions that still
-- share-lock it. The adopter has a lease of its own on the slot, so that an adopter
-- that dies is followed by another. The lease row is locked first, the term's
-- second: everywhere in this order. Indexes: slot_leases_pkey, slot_terms_pkey.
WITH lapsed AS (
    SELECT slot FROM slot_leases
    WHERE slot = $3 AND NOT closed AND until < clock_timestamp()
    FOR UPDATE SKIP LOCKED
), taken AS (
    UPDATE slot_terms t
    SET term = t.term + 1, epoch = i.epoch
    FROM lapsed, installation i
    WHERE t.slot = lapsed.slot
    RETURNING t.slot, t.term, t.epoch
), leased AS (
    UPDATE slot_leases l
    SET term = taken.term, until = clock_timestamp() + $2::interval, holder = $1
    FROM taken
    WHERE l.slot = taken.slot
)
SELECT slot, term, epoch FROM taken
