-- No donation's money is on the suspense account, where a second charge, the
-- difference to an amount and a movement that no gift explains wait for a person.
-- examined
SELECT count(*) FROM entries WHERE 'suspense:stripe' = ANY (accounts)
-- offenders
SELECT coalesce(b.donation_id::text, 'no donation'), format('%s %s', sum(b.amount_minor), b.currency)
FROM (SELECT donation_id, unnest(accounts) AS account, unnest(currencies) AS currency, unnest(amounts) AS amount_minor
      FROM entries WHERE 'suspense:stripe' = ANY (accounts)) b
WHERE b.account = 'suspense:stripe'
GROUP BY b.donation_id, b.currency
HAVING sum(b.amount_minor) <> 0
