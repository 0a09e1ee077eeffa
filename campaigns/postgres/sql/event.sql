-- One giving day, by events_pkey.
SELECT slug, name, time_zone, starts_at, ends_at, banner, revision
FROM events WHERE slug = $1
