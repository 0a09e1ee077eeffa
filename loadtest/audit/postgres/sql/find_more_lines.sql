-- The lines after the first of the donations that find.sql finds, in order.
-- Indexes: donations_pkey, lines_pkey.
SELECT n.donation_seq, n.campaign, n.amount_minor
FROM donations AS d
JOIN lines AS n ON n.donation_seq = d.seq
WHERE n.line_no > 1
  AND d.id = ANY ($1)
ORDER BY n.donation_seq, n.line_no
