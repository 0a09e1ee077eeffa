-- Says how far its holder has come, and goes on holding it, by imports_pkey.
UPDATE imports SET done = $3, held_until = now() + $4::interval WHERE id = $1 AND holder = $2 AND state = 'applying'
