-- The slots of the run's campaigns. A small table, scanned.
SELECT campaign, currency, pledged_minor, raised_minor, donations, version
FROM slots
WHERE starts_with(campaign, $1)
