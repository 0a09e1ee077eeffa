-- Everything that the projection takes from the ledger of some donations, and what it
-- holds of them already, in one query and so of one moment. %[1]s is the book's schema.
-- Status, refunds and what is called as the ledger's own answers to donors say.
-- Indexes: donations_pkey, lines_pkey, payments_pkey, attempts_pkey, refunds_donation,
-- search_states_pkey.
SELECT d.id, d.seq, d.received_at, d.recorded_at, d.fingerprint, d.amount_minor, d.fee_cover_minor, d.currency, d.anonymous, d.hide_amount, d.sealed, d.seal_key,
    ARRAY(SELECT l.campaign FROM %[1]s.lines l WHERE l.donation_seq = d.seq ORDER BY l.line_no),
    ARRAY(SELECT l.amount_minor FROM %[1]s.lines l WHERE l.donation_seq = d.seq ORDER BY l.line_no),
    p.status, coalesce(p.reason, ''), coalesce(p.intent, ''), coalesce(p.charge, ''), p.changed_at, a.first_called_at IS NOT NULL,
    CASE WHEN p.charge <> '' THEN coalesce((
        SELECT sum(r.amount_minor)::bigint FROM %[1]s.refunds r
        WHERE r.donation_id = p.donation_id AND r.processor_id IS NOT NULL AND r.charge IN ('', p.charge)
          AND r.status NOT IN ('requested', 'calling', 'refused', 'failed', 'canceled')
    ), 0) ELSE 0 END,
    s.status, s.reason, s.intent, s.charge, s.refunded_minor, now()
FROM %[1]s.donations d
LEFT JOIN %[1]s.payments p ON p.donation_id = d.id
LEFT JOIN %[1]s.attempts a ON a.donation_id = p.donation_id AND a.attempt_no = p.attempt_no
LEFT JOIN search_states s ON s.seq = d.seq
WHERE d.id = ANY ($1::uuid[])
