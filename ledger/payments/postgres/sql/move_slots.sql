-- Moves the slot of every campaign of a batch, in the order of the campaigns as
-- every writer does, and returns the rows as they now are. Index: slots_pkey.
INSERT INTO slots AS s (slot, campaign, currency, pledged_minor, raised_minor, donations, version)
SELECT $1, d.campaign, d.currency, d.pledged_minor, d.raised_minor, d.donations, 1
FROM unnest($2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[]) AS d (campaign, currency, pledged_minor, raised_minor, donations)
ORDER BY d.campaign, d.currency
ON CONFLICT (slot, campaign, currency) DO UPDATE
SET pledged_minor = s.pledged_minor + excluded.pledged_minor, -- by delta, never from memory
    raised_minor  = s.raised_minor + excluded.raised_minor,
    donations     = s.donations + excluded.donations,
    version       = s.version + 1
RETURNING campaign, currency, pledged_minor, raised_minor, donations, version
