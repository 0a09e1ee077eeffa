-- Writes one dispute as the processor named it; no row when it is another donation's. Index: disputes_pkey.
INSERT INTO disputes AS d (dispute, donation_id, charge, amount_minor, status, turned, fee_minor, fee_returned_minor, fee_currency, created_at, seen_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
ON CONFLICT (dispute) DO UPDATE
SET charge = excluded.charge, amount_minor = excluded.amount_minor, status = excluded.status, turned = excluded.turned,
    fee_minor = excluded.fee_minor, fee_returned_minor = excluded.fee_returned_minor, fee_currency = excluded.fee_currency,
    created_at = excluded.created_at, seen_at = excluded.seen_at, changed_at = now()
WHERE d.donation_id = excluded.donation_id
