-- An ID comes from an idempotency key: a UUID of version 8 with the variant of RFC 9562.
-- examined
SELECT count(*) FROM donations
-- offenders
SELECT id::text, 'no idempotency key gives such an ID'
FROM donations
WHERE substr(id::text, 15, 1) <> '8' OR substr(id::text, 20, 1) NOT IN ('8', '9', 'a', 'b')
