-- Writes one refund as the processor named it. One that was asked for here keeps
-- who asked and why; no row is written when it is another donation's. Indexes: refunds_pkey, refunds_processor_id_once.
INSERT INTO refunds AS r (refund, donation_id, processor_id, charge, amount_minor, lines, status, created_at, seen_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT (refund) DO UPDATE
SET processor_id = excluded.processor_id, charge = excluded.charge, amount_minor = excluded.amount_minor, lines = excluded.lines,
    status = excluded.status, created_at = excluded.created_at, seen_at = excluded.seen_at, changed_at = now()
WHERE r.donation_id = excluded.donation_id
