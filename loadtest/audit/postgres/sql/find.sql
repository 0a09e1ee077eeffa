-- Donations by their IDs, whatever their lines, with all lines in order. Indexes:
-- donations_pkey, lines_pkey.
SELECT d.id, d.fingerprint, d.received_at, d.token_expires_at, d.amount_minor, d.lines_minor, d.fee_cover_minor,
       d.currency, d.anonymous, d.hide_amount, d.confirmation_token, d.sealed, d.seal_key, l.campaigns, l.amounts
FROM donations AS d
CROSS JOIN LATERAL (
    SELECT array_agg(campaign ORDER BY line_no) AS campaigns, array_agg(amount_minor ORDER BY line_no) AS amounts
    FROM lines
    WHERE donation_seq = d.seq
) AS l
WHERE d.id = ANY ($1)
