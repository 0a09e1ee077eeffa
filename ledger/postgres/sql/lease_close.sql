-- Gives a slot back: the next process that needs one takes it. Index: slot_leases_pkey.
UPDATE slot_leases
SET closed = true, until = clock_timestamp()
WHERE slot = $1 AND term = $2 AND NOT closed
