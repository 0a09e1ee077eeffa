-- The last link of a slot's journal; no row while it has booked nothing. Index: chain_heads_pkey.
SELECT n, hash
FROM chain_heads
WHERE slot = $1
