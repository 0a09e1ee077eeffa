-- Moves the figures of walls and gives each its next version, which rises also when
-- the database came back from a backup. Index: search_campaigns_pkey.
UPDATE search_campaigns AS c
SET donors = c.donors + u.donors, version = greatest(c.version + 1, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)
FROM unnest($1::text[], $2::bigint[]) AS u (campaign, donors)
WHERE c.campaign = u.campaign
