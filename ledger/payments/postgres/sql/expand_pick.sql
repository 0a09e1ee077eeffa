-- The first batch that no other transaction expands, and its next part: so many
-- donations after those that have their attempts. Index: due_batches_pkey.
SELECT batch, count, expanded, donations[expanded + 1 : expanded + $1::integer]
FROM due_batches
ORDER BY batch
LIMIT 1
FOR UPDATE SKIP LOCKED
