-- A slot whole, for its snapshot. Index: slots_pkey.
SELECT campaign, currency, pledged_minor, raised_minor, donations, version
FROM slots
WHERE slot = $1
ORDER BY campaign, currency
