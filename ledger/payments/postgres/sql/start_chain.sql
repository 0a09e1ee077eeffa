-- Writes a slot's first last link. Another transaction of the same slot may do so at
-- the same moment: one of them meets chain_heads_pkey and begins again.
INSERT INTO chain_heads (slot, n, hash)
VALUES ($1, $2, $3)
