-- Writes what became of donations that are here already. Index: search_states_pkey.
UPDATE search_states AS s
SET status = u.status, reason = u.reason, intent = u.intent, charge = u.charge, refunded_minor = u.refunded_minor, look_at = u.look_at
FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::timestamptz[])
    AS u (seq, status, reason, intent, charge, refunded_minor, look_at)
WHERE s.seq = u.seq
