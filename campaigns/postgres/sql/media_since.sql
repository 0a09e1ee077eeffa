-- The pictures that were stored after a revision, in that order, by media_revision_key.
SELECT key, revision FROM media WHERE revision > $1 ORDER BY revision LIMIT $2
