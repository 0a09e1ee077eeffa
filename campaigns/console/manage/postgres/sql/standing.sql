-- What stands on the account of offline gifts, by currency: what was entered less what was reversed, by hand too.
-- Reads the table of commands, and entries by entries_ref_once. The book's schema is filled in.
SELECT e.currencies[1], count(*) FILTER (WHERE c.kind = 'offline_gift'), sum(e.amounts[array_position(e.accounts, $2::text)])::bigint
FROM %[1]s.commands AS c
JOIN %[1]s.entries AS e ON e.ref = CASE c.kind WHEN 'offline_gift' THEN 'offline:' ELSE 'correction:' END || replace(c.command::text, '-', '')
WHERE c.kind IN ('offline_gift', 'correction') AND c.outcome = 'done' AND $2 = ANY (e.accounts)
  AND ($1::text[] IS NULL OR e.accounts && $1)
GROUP BY e.currencies[1] ORDER BY e.currencies[1]
