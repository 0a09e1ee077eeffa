-- Questions of the donor's bank. Index: disputes_donation.
SELECT t.dispute, t.amount_minor, t.status, t.created_at
FROM %[1]s.disputes t
WHERE t.donation_id = $1
ORDER BY t.dispute
