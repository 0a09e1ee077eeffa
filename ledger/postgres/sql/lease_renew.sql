-- Extends a lease, also one that has lapsed and that nobody has adopted yet.
-- Touches only the lease's row, never the fence. Index: slot_leases_pkey.
UPDATE slot_leases
SET until = clock_timestamp() + $3::interval
WHERE slot = $1 AND term = $2 AND NOT closed
