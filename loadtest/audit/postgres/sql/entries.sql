-- Entries of the donations of an ID range; those without a donation have ID zero. A scan.
SELECT coalesce(donation_id, '00000000-0000-0000-0000-000000000000'), kind, ref, accounts, currencies, amounts
FROM entries
WHERE coalesce(donation_id, '00000000-0000-0000-0000-000000000000') BETWEEN $1 AND $2
