-- How far the charging of the run has come, counted in the run's donations. Scans.
SELECT now(),
       count(*) FILTER (WHERE coalesce(p.status, 'accepted') = 'accepted'),
       count(*) FILTER (WHERE p.status = 'charging'),
       count(*) FILTER (WHERE p.status = 'requires_action'),
       count(*) FILTER (WHERE p.charge <> '' AND p.fee_minor IS NULL),
       count(*) FILTER (WHERE p.charge <> ''),
       count(*)
FROM donations AS d
LEFT JOIN payments AS p ON p.donation_id = d.id
WHERE d.seq IN (SELECT donation_seq FROM lines WHERE starts_with(campaign, $1))
