-- As window, for gifts to campaigns that were changed since: what their opening
-- and closing was then is not kept.
-- examined
SELECT count(*)
FROM lines l
JOIN donations d ON d.seq = l.donation_seq
JOIN campaigns.campaigns c ON c.slug = l.campaign AND NOT c.stub
WHERE c.changed_at >= d.received_at - interval '1 minute'
-- offenders
SELECT d.id::text, format('received at %s, campaign %s, changed at %s, is now open from %s until %s',
    to_char(d.received_at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), c.slug, to_char(c.changed_at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
    coalesce(to_char(c.starts_at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), 'ever'),
    coalesce(to_char(c.ends_at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), 'further notice'))
FROM lines l
JOIN donations d ON d.seq = l.donation_seq
JOIN campaigns.campaigns c ON c.slug = l.campaign AND NOT c.stub
WHERE (d.received_at < c.starts_at OR d.received_at >= c.ends_at)
    AND c.changed_at >= d.received_at - interval '1 minute'
