-- Has every later change numbered above $1. Needs the revision lock.
SELECT setval('revisions', $1) WHERE $1 > (SELECT last_value FROM revisions)
