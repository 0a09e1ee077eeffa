-- Of the donors' campaigns that were open at $1 or later, the one that opened first.
-- Scans: it is asked by a person now and then.
SELECT c.slug, c.name, c.event, c.organisation, o.legal_name, o.tax_number, c.story, c.image, c.parent, c.currency,
       c.goal_minor, c.min_minor, c.max_minor, c.starts_at, c.ends_at, c.rehearsal, c.revision
FROM campaigns AS c LEFT JOIN organisations AS o ON o.name = c.organisation
WHERE NOT c.rehearsal AND NOT c.stub AND (c.ends_at IS NULL OR c.ends_at > $1)
ORDER BY c.starts_at NULLS FIRST, c.slug LIMIT 1
