-- The entries of a campaign's account, or of all campaigns' when it is empty, in their
-- order. Reads the table.
SELECT kind, ref, donation_id, occurred_at, actor, reason, accounts, currencies, amounts
FROM entries
WHERE occurred_at >= $1 AND occurred_at < $2
  AND CASE WHEN $3 = '' THEN EXISTS (SELECT FROM unnest(accounts) AS a (account) WHERE starts_with(a.account, 'gifts:'))
      ELSE 'gifts:' || $3 = ANY (accounts) END
ORDER BY occurred_at, slot, n
