-- Notes which donations are to be paid: one row for all that a transaction recorded.
-- Payments make the attempts at their own pace, and recording pays for a row and not
-- for thousands. No index but the key.
INSERT INTO due_batches (donations, count)
SELECT d.ids, cardinality(d.ids)
FROM (SELECT $1::uuid[] AS ids) AS d
