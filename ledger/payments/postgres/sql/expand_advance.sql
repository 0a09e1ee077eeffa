-- Notes how far a batch is expanded; a batch that is expanded whole goes. The caller
-- has locked it. Index: due_batches_pkey.
WITH done AS (
    DELETE FROM due_batches WHERE batch = $1 AND count <= expanded + $2::integer
)
UPDATE due_batches
SET expanded = expanded + $2::integer
WHERE batch = $1 AND count > expanded + $2::integer
