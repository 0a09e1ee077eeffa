-- The campaigns that changed after a revision, in order of change, by campaigns_revision_key.
SELECT slug, name, event, organisation, parent, currency, goal_minor, min_minor, max_minor, starts_at, ends_at, rehearsal, revision
FROM campaigns WHERE revision > $1 AND NOT stub
ORDER BY revision LIMIT $2
