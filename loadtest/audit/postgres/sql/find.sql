-- Donations by their IDs, whatever their lines, each with its first line. Indexes:
-- donations_pkey, lines_pkey.
SELECT d.seq, d.id, d.fingerprint, d.received_at, d.token_expires_at, d.amount_minor, d.lines_minor, d.fee_cover_minor,
       d.currency, d.anonymous, d.hide_amount, d.confirmation_token, d.sealed, d.seal_key, n.campaign, n.amount_minor
FROM donations AS d
LEFT JOIN lines AS n ON n.donation_seq = d.seq AND n.line_no = 1
WHERE d.id = ANY ($1)
