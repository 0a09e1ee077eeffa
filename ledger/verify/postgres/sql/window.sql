-- Opening and closing are judged by the front-end's receive time, [start, end), by
-- the campaign as the front-end knows it: a change reaches it within seconds, so a
-- campaign last changed a minute before a gift is the one that the gift was judged by.
-- examined
SELECT count(*) FROM lines
-- offenders
SELECT coalesce(d.id::text, 'row ' || l.donation_seq), format('received at %s, campaign %s is open from %s until %s',
    to_char(d.received_at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), c.slug,
    coalesce(to_char(c.starts_at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), 'ever'),
    coalesce(to_char(c.ends_at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), 'further notice'))
FROM lines l
JOIN donations d ON d.seq = l.donation_seq
JOIN campaigns.campaigns c ON c.slug = l.campaign AND NOT c.stub
WHERE (d.received_at < c.starts_at OR d.received_at >= c.ends_at)
    AND c.changed_at < d.received_at - interval '1 minute'
