-- Ends every tenure of before a restore: terms rise, under the epoch $1, so that whoever
-- still believes in one is fenced, and each slot is to be adopted, so that it is
-- published whole under the new epoch. $2 and $3 are the slots that the world was told
-- of, with the highest terms: one that was made after the backup is made again, empty.
-- The caller has locked both tables. Indexes: slot_terms_pkey, slot_leases_pkey.
WITH told AS (
    SELECT u.slot, u.term FROM unnest($2::integer[], $3::bigint[]) AS u (slot, term)
), terms AS (
    INSERT INTO slot_terms AS t (slot, term, epoch)
    SELECT coalesce(s.slot, told.slot), greatest(s.term, told.term) + 1, $1
    FROM slot_terms s FULL JOIN told ON told.slot = s.slot
    ON CONFLICT (slot) DO UPDATE SET term = excluded.term, epoch = excluded.epoch
    RETURNING t.slot, t.term
)
INSERT INTO slot_leases (slot, term, until, closed, holder)
SELECT slot, term, clock_timestamp() - interval '1 second', false, 'restore'
FROM terms
ON CONFLICT (slot) DO UPDATE
SET term = excluded.term, until = excluded.until, closed = false, holder = excluded.holder
