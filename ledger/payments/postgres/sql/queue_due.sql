-- The due attempts by the minute in which their tokens expire, the earliest first.
-- An index scan as long as the queue is. Index: attempts_due.
SELECT date_trunc('minute', token_expires_at) AS minute, count(*), min(token_expires_at), min(changed_at)
FROM attempts
WHERE state = 1 AND tier IN (0, 1, 2, 3)
GROUP BY 1
ORDER BY 1
