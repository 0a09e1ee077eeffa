-- Stores a picture unless it is there; somebody is about to use it. Needs the revision lock.
INSERT INTO media (revision, key, content_type, data) VALUES (nextval('revisions'), $1, $2, $3)
ON CONFLICT (key) DO UPDATE SET unused_since = NULL
