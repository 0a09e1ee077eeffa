-- A page of campaigns in order of slug, by campaigns_pkey.
SELECT slug, name, event, organisation, parent, currency, goal_minor, min_minor, max_minor, starts_at, ends_at, rehearsal, revision
FROM campaigns WHERE slug > $1 AND NOT stub
ORDER BY slug LIMIT $2
