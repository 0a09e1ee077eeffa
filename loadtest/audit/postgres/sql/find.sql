-- Donations by their IDs, whatever their lines, each with its first line. Indexes:
-- donations_pkey, lines_pkey.
SELECT d.seq, d.id, d.fingerprint, d.received_at, d.token_expires_at, d.amount_minor, d.lines_minor, d.fee_cover_minor,
       d.currency, d.anonymous, d.hide_amount, d.confirmation_token, d.sealed, d.seal_key, n.campaign, n.amount_minor,
       coalesce(p.status, 'accepted'), coalesce(p.reason, ''), coalesce(p.intent, ''), coalesce(p.charge, ''), coalesce(p.captured_minor, 0),
       p.fee_minor, coalesce(p.fee_currency, ''), p.lines_refunded, p.lines_lost,
       CASE WHEN EXISTS (SELECT FROM restores AS r WHERE d.received_at < r.restored_at
                                AND f.fell_at >= date_trunc('second', r.restored_at)) -- the processor's times are of whole seconds
            THEN d.received_at ELSE f.fell_at END, -- the note of an earlier fall may be lost
       coalesce(f.falls, 0)
FROM donations AS d
LEFT JOIN lines AS n ON n.donation_seq = d.seq AND n.line_no = 1
LEFT JOIN payments AS p ON p.donation_id = d.id
LEFT JOIN ( -- attempts that failed (5) or were canceled (6)
    SELECT donation_id, min(changed_at) AS fell_at, count(*) AS falls
    FROM attempts
    WHERE state IN (5, 6) AND donation_id = ANY ($1)
    GROUP BY donation_id
) AS f ON f.donation_id = d.id
WHERE d.id = ANY ($1)
