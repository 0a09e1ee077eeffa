-- Throws a plan away, by imports_pkey.
UPDATE imports SET state = 'discarded', plan = NULL, ended_at = now() WHERE id = $1 AND state = 'planned'
