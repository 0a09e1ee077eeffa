-- What became of commands, by commands_pkey. The book's schema is filled in.
SELECT command, outcome, detail FROM %[1]s.commands WHERE command = ANY ($1::uuid[])
