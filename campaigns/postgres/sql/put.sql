-- Inserts or changes many campaigns in one round trip, and makes the events and
-- organisations that they name. A campaign that is the same already keeps its
-- revision. Needs the revision lock, held by this transaction. Finds rows by
-- campaigns_pkey.
WITH given AS (
    SELECT *
    FROM unnest(
        $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[],
        $7::bigint[], $8::bigint[], $9::bigint[], $10::timestamptz[], $11::timestamptz[], $12::boolean[],
        $13::text[], $14::text[]
    ) AS g (slug, name, event, organisation, parent, currency, goal_minor, min_minor, max_minor, starts_at, ends_at, rehearsal, story, image)
), new_events AS (
    INSERT INTO events (revision, slug, name)
    SELECT nextval('revisions'), event, event
    FROM (SELECT DISTINCT event FROM given WHERE event IS NOT NULL) AS named
    ON CONFLICT DO NOTHING
), new_organisations AS (
    INSERT INTO organisations (name)
    SELECT DISTINCT organisation FROM given WHERE organisation IS NOT NULL
    ON CONFLICT DO NOTHING
)
INSERT INTO campaigns AS held (
    revision, slug, name, event, organisation, parent, currency,
    goal_minor, min_minor, max_minor, starts_at, ends_at, rehearsal, story, image, stub
)
SELECT nextval('revisions'), slug, name, event, organisation, parent, currency,
       goal_minor, min_minor, max_minor, starts_at, ends_at, rehearsal, story, image, false
FROM given
ON CONFLICT (slug) DO UPDATE SET
    revision = excluded.revision, name = excluded.name, event = excluded.event,
    organisation = excluded.organisation, parent = excluded.parent, currency = excluded.currency,
    goal_minor = excluded.goal_minor, min_minor = excluded.min_minor, max_minor = excluded.max_minor,
    starts_at = excluded.starts_at, ends_at = excluded.ends_at, rehearsal = excluded.rehearsal,
    story = excluded.story, image = excluded.image, stub = false, changed_at = now()
WHERE held.stub OR (
    held.name, held.event, held.organisation, held.parent, held.currency, held.goal_minor,
    held.min_minor, held.max_minor, held.starts_at, held.ends_at, held.rehearsal, held.story, held.image
) IS DISTINCT FROM (
    excluded.name, excluded.event, excluded.organisation, excluded.parent, excluded.currency, excluded.goal_minor,
    excluded.min_minor, excluded.max_minor, excluded.starts_at, excluded.ends_at, excluded.rehearsal, excluded.story, excluded.image
)
RETURNING slug, revision
