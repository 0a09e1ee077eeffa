-- The lines after the first of the donations that donations.sql finds, in order.
SELECT n.donation_seq, n.campaign, n.amount_minor
FROM lines AS n
JOIN donations AS d ON d.seq = n.donation_seq
WHERE n.line_no > 1
  AND d.id BETWEEN $2 AND $3
  AND n.donation_seq IN (SELECT donation_seq FROM lines WHERE starts_with(campaign, $1))
ORDER BY n.donation_seq, n.line_no
