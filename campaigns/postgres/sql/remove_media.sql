-- Removes pictures unless a campaign names them, by media_pkey. Needs the revision lock.
DELETE FROM media AS m WHERE m.key = ANY ($1::text[]) AND m.unused_since IS NOT NULL
AND NOT EXISTS (SELECT FROM campaigns AS c WHERE c.image = m.key)
