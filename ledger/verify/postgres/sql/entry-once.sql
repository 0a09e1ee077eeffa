-- A movement of money is booked once, and a place in a chain is taken once.
-- examined
SELECT count(*) FROM entries
-- offenders
SELECT ref, format('%s entries', count(*))
FROM entries
GROUP BY ref
HAVING count(*) > 1
UNION ALL
SELECT format('slot %s entry %s', slot, n), format('%s entries', count(*))
FROM entries
GROUP BY slot, n
HAVING count(*) > 1
