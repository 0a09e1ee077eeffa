-- What is charged is the lines and the covered fee, within the contract's limits:
-- at most 99,999,999 minor units, a card token that lives 12 hours at most. numeric,
-- so that a sum that does not fit is an offender and not an error.
-- examined
SELECT count(*) FROM donations
-- offenders
SELECT id::text, format('amount_minor %s, lines_minor %s, fee_cover_minor %s, currency %s, token for %s',
    amount_minor, lines_minor, fee_cover_minor, currency, token_expires_at - received_at)
FROM donations
WHERE amount_minor <> lines_minor::numeric + fee_cover_minor
    OR amount_minor NOT BETWEEN 1 AND 99999999
    OR lines_minor < 1
    OR fee_cover_minor < 0
    OR currency !~ '^[A-Z]{3}$'
    OR token_expires_at > received_at + interval '12 hours'
    OR (seal_key = 0) <> (octet_length(sealed) = 0)
