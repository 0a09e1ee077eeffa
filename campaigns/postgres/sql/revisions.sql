-- How these campaigns stand, by campaigns_pkey; a stub is not there.
SELECT slug, revision FROM campaigns WHERE slug = ANY ($1::text[]) AND NOT stub
