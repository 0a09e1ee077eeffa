-- How many lines the run's campaigns have been given, whatever became of them. A scan.
SELECT count(*)
FROM lines
WHERE starts_with(campaign, $1)
