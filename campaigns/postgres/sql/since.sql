-- The campaigns that changed after a revision, in order of change, by campaigns_revision_key.
SELECT c.slug, c.name, c.event, c.organisation, o.legal_name, o.tax_number, c.story, c.image, c.parent, c.currency,
       c.goal_minor, c.min_minor, c.max_minor, c.starts_at, c.ends_at, c.rehearsal, c.revision
FROM campaigns AS c LEFT JOIN organisations AS o ON o.name = c.organisation
WHERE c.revision > $1 AND NOT c.stub
ORDER BY c.revision LIMIT $2
