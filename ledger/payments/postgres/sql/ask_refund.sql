-- Notes a refund that a person asked for; it is called when it is claimed. A command
-- may be one that a restore replays: its call may have been made since it was asked,
-- which was no later than now, whatever the clock said of whoever asked.
INSERT INTO refunds (refund, donation_id, amount_minor, lines, status, actor, reason, first_called_at)
VALUES ($1, $2, $3, $4, 'requested', $5, $6, least($7::timestamptz, clock_timestamp()))
