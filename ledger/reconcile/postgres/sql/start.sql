-- The last entry of a slot that was booked before a time; a chain grows in the order of
-- booking, so this walks back over what came since. Index: entries_pkey.
SELECT n
FROM entries
WHERE slot = $1 AND booked_at < $2
ORDER BY n DESC
LIMIT 1
