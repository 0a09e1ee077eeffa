-- Everything that a donor may ask about some donations, in one query. A donation
-- whose attempt was not made yet has no payment: all of its columns are NULL, and
-- nothing else is read for it. Refunds and disputes count as payments.Refunded and
-- payments.Disputed say: those of the captured charge, the worst dispute.
-- Indexes: donations_pkey, lines_pkey, conflicts_pkey, payments_pkey, attempts_pkey,
-- refunds_donation, disputes_donation.
SELECT d.id, d.fingerprint, d.amount_minor, d.fee_cover_minor, d.currency, d.received_at, d.recorded_at,
    ARRAY(SELECT l.campaign FROM lines l WHERE l.donation_seq = d.seq ORDER BY l.line_no),
    ARRAY(SELECT l.amount_minor FROM lines l WHERE l.donation_seq = d.seq ORDER BY l.line_no),
    ARRAY(SELECT c.fingerprint FROM conflicts c WHERE c.id = d.id),
    p.status, p.reason, a.decline, a.client_secret, a.attempt_no, a.state, a.changed_at, a.first_called_at IS NOT NULL,
    CASE WHEN p.charge <> '' THEN (
        SELECT sum(r.amount_minor)::bigint FROM refunds r
        WHERE r.donation_id = p.donation_id AND r.processor_id IS NOT NULL AND r.charge IN ('', p.charge)
          AND r.status NOT IN ('requested', 'calling', 'refused', 'failed', 'canceled')
    ) END,
    CASE WHEN p.charge <> '' THEN (
        SELECT t.status FROM disputes t
        WHERE t.donation_id = p.donation_id AND t.charge IN ('', p.charge)
        ORDER BY CASE t.status WHEN 'lost' THEN 0 WHEN 'open' THEN 1 ELSE 2 END
        LIMIT 1
    ) END
FROM donations d
LEFT JOIN payments p ON p.donation_id = d.id
LEFT JOIN attempts a ON a.donation_id = p.donation_id AND a.attempt_no = p.attempt_no
WHERE d.id = ANY ($1::uuid[])
