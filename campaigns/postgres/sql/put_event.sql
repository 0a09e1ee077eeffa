-- Makes or changes a giving day; one that is the same already keeps its revision.
-- Needs the revision lock. Finds it by events_pkey.
INSERT INTO events AS held (revision, slug, name, time_zone, starts_at, ends_at, banner)
VALUES (nextval('revisions'), $1, $2, $3, $4, $5, $6)
ON CONFLICT (slug) DO UPDATE SET
    revision = excluded.revision, name = excluded.name, time_zone = excluded.time_zone,
    starts_at = excluded.starts_at, ends_at = excluded.ends_at, banner = excluded.banner, changed_at = now()
WHERE (held.name, held.time_zone, held.starts_at, held.ends_at, held.banner)
    IS DISTINCT FROM (excluded.name, excluded.time_zone, excluded.starts_at, excluded.ends_at, excluded.banner)
