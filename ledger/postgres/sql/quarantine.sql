-- Sets records aside; those already there stay as they are. Index: quarantine_pkey.
INSERT INTO quarantine (payload_hash, stream, sequence, record_index, stored_at, reason, detail, payload)
SELECT q.payload_hash, q.stream, q.sequence, q.record_index, q.stored_at, q.reason, q.detail, q.payload
FROM unnest($1::bytea[], $2::text[], $3::bigint[], $4::integer[], $5::timestamptz[], $6::text[], $7::text[], $8::bytea[])
    AS q (payload_hash, stream, sequence, record_index, stored_at, reason, detail, payload)
ORDER BY q.payload_hash
ON CONFLICT DO NOTHING
