-- A donation was charged at most once. A further charge whose money went back, so
-- that nothing of it is on the suspense account, is no offence any more.
-- examined
SELECT count(DISTINCT donation_id) FROM entries WHERE kind = 'capture'
-- offenders
SELECT coalesce(b.donation_id::text, 'no donation'), format('%s charges captured', count(DISTINCT b.ref) FILTER (WHERE b.kind = 'capture'))
FROM (SELECT donation_id, kind, ref, unnest(accounts) AS account, unnest(amounts) AS amount_minor FROM entries) b
WHERE b.donation_id IS NOT NULL OR b.kind = 'capture'
GROUP BY b.donation_id
HAVING count(DISTINCT b.ref) FILTER (WHERE b.kind = 'capture') > 1
    AND (coalesce(sum(b.amount_minor) FILTER (WHERE b.account = 'suspense:stripe'), 0) <> 0
        OR count(DISTINCT b.ref) FILTER (WHERE b.kind = 'capture' AND starts_with(b.account, 'gifts:')) > 1)
    OR b.donation_id IS NULL AND count(*) FILTER (WHERE b.kind = 'capture') > 0
