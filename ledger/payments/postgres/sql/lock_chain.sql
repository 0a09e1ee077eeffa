-- Locks the last link of a slot's chain and reads it; no row while the slot has
-- booked nothing. The last lock of every transaction. Index: chain_heads_pkey.
SELECT n, hash
FROM chain_heads
WHERE slot = $1
FOR NO KEY UPDATE
