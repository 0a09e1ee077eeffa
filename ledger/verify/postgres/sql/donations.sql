-- Donations whole, by their IDs. Indexes: donations_pkey, lines_pkey.
SELECT d.seq, d.id, d.fingerprint, d.received_at, d.source, d.currency, d.amount_minor, d.fee_cover_minor,
    d.anonymous, d.hide_amount, d.confirmation_token, d.token_expires_at, d.sealed, d.seal_key,
    ARRAY(SELECT l.campaign FROM lines l WHERE l.donation_seq = d.seq ORDER BY l.line_no),
    ARRAY(SELECT l.amount_minor FROM lines l WHERE l.donation_seq = d.seq ORDER BY l.line_no)
FROM donations d
WHERE d.id = ANY ($1::uuid[])
