-- Notes what became of a command, in the transaction of its effect. Of two who carry
-- it out at the same moment one meets commands_pkey and finds it done.
INSERT INTO commands (command, kind, asked_at, actor, reason, donation_id, outcome, detail)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
