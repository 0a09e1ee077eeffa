-- Writes the new last link; the row is locked. Index: chain_heads_pkey.
UPDATE chain_heads
SET n = $2, hash = $3
WHERE slot = $1
