-- Everything that a donor may ask about some donations, in one query.
-- Indexes: donations_pkey, lines_pkey, conflicts_pkey.
SELECT d.id, d.fingerprint, d.amount_minor, d.fee_cover_minor, d.currency, d.received_at, d.recorded_at,
    ARRAY(SELECT l.campaign FROM lines l WHERE l.donation_seq = d.seq ORDER BY l.line_no),
    ARRAY(SELECT l.amount_minor FROM lines l WHERE l.donation_seq = d.seq ORDER BY l.line_no),
    ARRAY(SELECT c.fingerprint FROM conflicts c WHERE c.id = d.id)
FROM donations d
WHERE d.id = ANY ($1::uuid[])
