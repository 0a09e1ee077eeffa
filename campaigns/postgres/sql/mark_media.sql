-- Notes which pictures no campaign names any more, and which one names again. Reads both tables, the pictures'
-- bytes left alone. Needs the revision lock.
UPDATE media AS m SET unused_since = CASE WHEN m.unused_since IS NULL THEN now() END
WHERE (m.unused_since IS NOT NULL) = EXISTS (SELECT FROM campaigns AS c WHERE c.image = m.key)
