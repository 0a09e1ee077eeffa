-- The run's payments that wait for their donors.
SELECT p.donation_id, p.intent
FROM payments AS p
JOIN donations AS d ON d.id = p.donation_id
WHERE p.status = 'requires_action' AND p.intent <> ''
  AND d.seq IN (SELECT donation_seq FROM lines WHERE starts_with(campaign, $1))
