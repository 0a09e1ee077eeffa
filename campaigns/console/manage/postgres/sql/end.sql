-- Says how it ended, by imports_pkey. The plan of what was done is not needed any more.
UPDATE imports SET state = $3, outcome = $4, done = $5, ended_at = now(), plan = NULL, holder = '', held_until = '-infinity'
WHERE id = $1 AND holder = $2 AND state = 'applying'
