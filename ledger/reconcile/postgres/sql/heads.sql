-- How long each slot's chain is.
SELECT slot, n
FROM chain_heads
ORDER BY slot
