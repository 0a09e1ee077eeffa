-- An entry's postings sum to zero in each currency, none of them is empty, and there
-- are at least two.
-- examined
SELECT count(*) FROM entries
-- offenders
SELECT b.ref, format('%s is off by %s', b.currency, sum(b.amount_minor))
FROM (SELECT slot, n, ref, unnest(currencies) AS currency, unnest(amounts) AS amount_minor FROM entries) b
GROUP BY b.slot, b.n, b.ref, b.currency
HAVING sum(b.amount_minor) IS DISTINCT FROM 0
UNION ALL
SELECT ref, format('%s accounts, %s currencies, %s amounts', cardinality(accounts), cardinality(currencies), cardinality(amounts))
FROM entries
WHERE cardinality(accounts) < 2 OR cardinality(accounts) <> cardinality(currencies) OR cardinality(accounts) <> cardinality(amounts)
UNION ALL
SELECT ref, 'a posting is empty'
FROM entries
WHERE 0 = ANY (amounts) OR '' = ANY (accounts) OR array_position(accounts, NULL) IS NOT NULL
    OR array_position(currencies, NULL) IS NOT NULL OR array_position(amounts, NULL) IS NOT NULL
