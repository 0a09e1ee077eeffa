-- Offline gifts as they were asked for, the newest first, with the entry that booked each (entries_ref_once).
-- People enter thousands, not millions: reads the table of commands. The book's schema is filled in.
SELECT c.command, c.asked_at, c.recorded_at, c.actor, c.reason, c.outcome, c.detail,
       coalesce(substr(e.accounts[2], 7), ''), coalesce(e.currencies[1], ''), coalesce(e.amounts[1], 0)
FROM %[1]s.commands AS c
LEFT JOIN %[1]s.entries AS e ON e.ref = 'offline:' || replace(c.command::text, '-', '')
WHERE c.kind = 'offline_gift'
  AND ($1::text[] IS NULL OR substr(e.accounts[2], 7) = ANY ($1))
  AND ($2::timestamptz IS NULL OR (c.recorded_at, c.command) < ($2, $3::uuid))
  AND ($4::uuid IS NULL OR c.command = $4)
ORDER BY c.recorded_at DESC, c.command DESC
LIMIT $5
