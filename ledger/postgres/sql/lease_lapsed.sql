-- Which slots nobody renews any more. A handful of rows: no index.
SELECT slot
FROM slot_leases
WHERE NOT closed AND until < clock_timestamp()
ORDER BY slot
