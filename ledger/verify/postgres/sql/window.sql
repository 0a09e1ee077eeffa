-- Opening and closing are judged by the front-end's receive time, [start, end).
-- A campaign whose opening or closing was moved afterwards shows here too, and
-- that is why this is a note.
-- examined
SELECT count(*) FROM lines
-- offenders
SELECT d.id::text, format('received at %s, campaign %s is open from %s until %s',
    to_char(d.received_at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), c.slug,
    to_char(c.starts_at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), coalesce(to_char(c.ends_at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), 'further notice'))
FROM lines l
JOIN donations d ON d.seq = l.donation_seq
JOIN campaigns.campaigns c ON c.slug = l.campaign AND NOT c.stub
WHERE d.received_at < c.starts_at OR d.received_at >= c.ends_at
