-- What became of a refund, by our ID. Index: refunds_pkey.
SELECT donation_id, amount_minor, lines, status, coalesce(processor_id, ''), detail, actor, asked_at
FROM refunds
WHERE refund = $1
