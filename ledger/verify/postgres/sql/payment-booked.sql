-- What a payment says was captured and given back is what the journal has booked of
-- it, campaign by campaign, corrections by people aside; and its charge is booked with
-- its amount.
-- examined
SELECT count(*) FROM payments WHERE charge <> ''
-- offenders
SELECT coalesce(p.id, j.id)::text,
    format('%s: the payment raised %s, the journal booked %s', coalesce(p.campaign, j.campaign), coalesce(p.raised_minor, 0), coalesce(j.owed_minor, 0))
FROM (
    SELECT d.id, l.campaign,
        sum(l.amount_minor - coalesce(p.lines_refunded[l.line_no], 0) - coalesce(p.lines_lost[l.line_no], 0)) AS raised_minor
    FROM payments p
    JOIN donations d ON d.id = p.donation_id
    JOIN lines l ON l.donation_seq = d.seq
    WHERE p.charge <> ''
    GROUP BY d.id, l.campaign
) p
FULL JOIN (
    SELECT b.donation_id AS id, substr(b.account, 7) AS campaign, -sum(b.amount_minor) AS owed_minor
    FROM (SELECT donation_id, unnest(accounts) AS account, unnest(amounts) AS amount_minor
          FROM entries WHERE donation_id IS NOT NULL AND NOT starts_with(ref, 'correction:')) b
    WHERE starts_with(b.account, 'gifts:')
    GROUP BY b.donation_id, substr(b.account, 7)
) j ON j.id = p.id AND j.campaign = p.campaign
WHERE coalesce(p.raised_minor, 0) <> coalesce(j.owed_minor, 0)
UNION ALL
SELECT p.donation_id::text, format('captured %s, the journal booked %s', p.captured_minor, coalesce(e.captured_minor::text, 'nothing'))
FROM payments p
LEFT JOIN (SELECT donation_id, ref, amounts[1] AS captured_minor FROM entries WHERE kind = 'capture' AND accounts[1] = 'processor:stripe') e
    ON e.ref = 'capture:' || p.charge AND e.donation_id = p.donation_id
WHERE p.charge <> '' AND e.captured_minor IS DISTINCT FROM p.captured_minor
