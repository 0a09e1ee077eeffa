-- Which of the donors' requests were dealt with before. Index: requests_pkey.
SELECT request
FROM requests
WHERE request = ANY ($1::uuid[]) AND done_at IS NOT NULL
