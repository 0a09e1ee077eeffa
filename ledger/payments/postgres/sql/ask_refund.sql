-- Notes a refund that a person asked for; it is called when it is claimed.
INSERT INTO refunds (refund, donation_id, amount_minor, lines, status, actor, reason)
VALUES ($1, $2, $3, $4, 'requested', $5, $6)
