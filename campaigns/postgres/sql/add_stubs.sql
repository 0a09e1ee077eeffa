-- Stands in for campaigns that the slots of a book (its schema is filled in) name and nobody made.
-- Already ended, so that it takes no gift. Needs the revision lock. Reads the slots
-- whole, a row per campaign, currency and writer.
INSERT INTO campaigns (revision, slug, name, currency, ends_at, rehearsal, stub)
SELECT nextval('revisions'), found.campaign, found.campaign, found.currency, now(), $1, true
FROM (
    SELECT DISTINCT ON (campaign) campaign, currency
    FROM %s.slots AS s
    WHERE NOT EXISTS (SELECT FROM campaigns AS c WHERE c.slug = s.campaign)
    ORDER BY campaign, version DESC
) AS found
ON CONFLICT DO NOTHING
RETURNING slug
