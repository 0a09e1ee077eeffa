-- Has an import applied, once, by imports_pkey.
UPDATE imports SET state = 'applying', leave_out = $2, total = $3, done = 0, applied_at = $4, applied_by = $5
WHERE id = $1 AND state = 'planned' AND plan IS NOT NULL
