-- Takes gifts out of what everybody sees. Index: search_feed_pkey.
DELETE FROM search_feed AS f
USING unnest($1::text[], $2::timestamptz[], $3::bigint[]) AS u (campaign, received_at, seq)
WHERE f.campaign = u.campaign
  AND f.received_at = u.received_at AND f.seq = u.seq
