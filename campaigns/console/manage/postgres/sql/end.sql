-- Says how it ended, by imports_pkey. The plan stays a while, to be looked at.
UPDATE imports SET state = $3, outcome = $4, done = $5, ended_at = now(), holder = '', held_until = '-infinity'
WHERE id = $1 AND holder = $2 AND state = 'applying'
