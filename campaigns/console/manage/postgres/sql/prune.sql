-- Takes the plans away that nobody applied in time, or that were applied; by imports_created.
UPDATE imports SET plan = NULL, state = CASE state WHEN 'planned' THEN 'discarded' ELSE state END
WHERE created_at < $1 AND plan IS NOT NULL AND state <> 'applying'
