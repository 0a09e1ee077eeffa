-- How far the charging of the run has come, counted in the run's donations. A status says
-- that a donation is being charged once its outcome is awaited; that its call is under way
-- now, its attempt says (2). Scans; attempts by attempts_lapsed.
SELECT now(),
       count(*) FILTER (WHERE coalesce(p.status, 'accepted') = 'accepted' AND c.donation_id IS NULL),
       count(*) FILTER (WHERE p.status = 'charging' OR coalesce(p.status, 'accepted') = 'accepted' AND c.donation_id IS NOT NULL),
       count(*) FILTER (WHERE p.status = 'requires_action'),
       count(*) FILTER (WHERE p.charge <> '' AND p.fee_minor IS NULL),
       count(*) FILTER (WHERE p.charge <> ''),
       count(*)
FROM donations AS d
LEFT JOIN payments AS p ON p.donation_id = d.id
LEFT JOIN attempts AS c ON c.donation_id = d.id AND c.state = 2
WHERE d.seq IN (SELECT donation_seq FROM lines WHERE starts_with(campaign, $1))
