-- Sets what an endpoint may be called; a rate that was slowed starts anew. Index: pace_pkey.
INSERT INTO spillway.pace AS p (account, endpoint, per_second, current, tokens, filled_at, changed_by)
VALUES ($1, $2, $3, $3, 0, clock_timestamp(), $4)
ON CONFLICT (account, endpoint) DO UPDATE
SET per_second = excluded.per_second, current = excluded.current, slowed_at = NULL,
    tokens = least(p.tokens, excluded.per_second), changed_by = excluded.changed_by
