-- A rehearsal's campaigns are given to in the rehearsal's book, real ones in the
-- live book.
-- examined
SELECT count(*) FROM lines
-- offenders
SELECT coalesce(d.id::text, 'row ' || l.donation_seq),
    format('to campaign %s, which is %s', c.slug, CASE WHEN c.rehearsal THEN 'a rehearsal''s' ELSE 'real' END)
FROM lines l
JOIN campaigns.campaigns c ON c.slug = l.campaign AND NOT c.stub
LEFT JOIN donations d ON d.seq = l.donation_seq
WHERE c.rehearsal <> (current_schema() = 'rehearsal')
