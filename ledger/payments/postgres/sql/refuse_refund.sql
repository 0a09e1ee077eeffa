-- Ends a refund that the processor will never make. Index: refunds_pkey.
UPDATE refunds
SET status = 'refused', detail = $2, changed_at = now()
WHERE refund = $1 AND status IN ('requested', 'calling')
