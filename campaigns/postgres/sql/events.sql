-- The giving days that changed after a revision, in order of change. Few rows.
SELECT slug, name, time_zone, starts_at, ends_at, banner, revision
FROM events WHERE revision > $1
ORDER BY revision
