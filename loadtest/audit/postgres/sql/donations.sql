-- Donations of an ID range that have a line in one of the run's campaigns, with
-- all their lines in order. Reads lines by lines_pkey, which groups them without a
-- sort, and joins by hash: donations has no index on seq, and a scan of both is a second per million.
SELECT d.id, d.fingerprint, d.received_at, d.token_expires_at, d.amount_minor, d.lines_minor, d.fee_cover_minor,
       d.currency, d.anonymous, d.hide_amount, d.confirmation_token, d.sealed, d.seal_key, l.campaigns, l.amounts
FROM (
    SELECT donation_seq, array_agg(campaign ORDER BY line_no) AS campaigns, array_agg(amount_minor ORDER BY line_no) AS amounts
    FROM lines
    GROUP BY donation_seq
    HAVING bool_or(starts_with(campaign, $1))
) AS l
JOIN donations AS d ON d.seq = l.donation_seq
WHERE d.id BETWEEN $2 AND $3
