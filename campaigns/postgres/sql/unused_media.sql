-- The pictures that no campaign names for so long.
SELECT key FROM media WHERE unused_since < now() - $1::interval ORDER BY key LIMIT $2
