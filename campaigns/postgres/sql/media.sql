-- One picture, by media_pkey.
SELECT key, content_type, data FROM media WHERE key = $1
