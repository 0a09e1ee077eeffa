-- What went back, and what was asked to. Index: refunds_donation.
SELECT r.refund, coalesce(r.processor_id, ''), r.amount_minor, r.status, r.actor, r.reason, r.detail, r.asked_at, r.created_at
FROM %[1]s.refunds r
WHERE r.donation_id = $1
ORDER BY r.asked_at, r.refund
