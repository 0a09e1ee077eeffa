-- How far each slot's chain goes, and how far it was followed. A handful of rows.
SELECT h.slot, h.n, coalesce(s.n, 0)
FROM %[1]s.chain_heads h
LEFT JOIN search_slots s ON s.slot = h.slot
ORDER BY h.slot
