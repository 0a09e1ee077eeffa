-- What was recorded of some donations, with their lines in order. Recorded rows
-- never change: nothing to lock. Indexes: donations_pkey, lines_pkey.
SELECT d.id, d.currency, d.amount_minor, d.fee_cover_minor, d.received_at, d.source,
    ARRAY(SELECT l.campaign FROM lines l WHERE l.donation_seq = d.seq ORDER BY l.line_no),
    ARRAY(SELECT l.amount_minor FROM lines l WHERE l.donation_seq = d.seq ORDER BY l.line_no)
FROM donations d
WHERE d.id = ANY ($1::uuid[])
