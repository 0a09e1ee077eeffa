-- Which slots nobody renews any more. A handful of rows: no index.
SELECT slot
FROM slot_leases
WHERE NOT closed AND until < clock_timestamp() - $2::interval AND holder <> $1
ORDER BY slot
