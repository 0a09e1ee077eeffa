-- What became of a command. Index: commands_pkey.
SELECT outcome, detail
FROM commands
WHERE command = $1
