-- A page of the campaigns whose slug, name, organisation or event holds a text, in
-- upper or lower case, in order of slug. Reads on by campaigns_pkey until the page is full:
-- the whole table, some thousand rows, at worst.
SELECT c.slug, c.name, c.event, c.organisation, o.legal_name, o.tax_number, c.story, c.image, c.parent, c.currency,
       c.goal_minor, c.min_minor, c.max_minor, c.starts_at, c.ends_at, c.rehearsal, c.revision
FROM campaigns AS c LEFT JOIN organisations AS o ON o.name = c.organisation
WHERE c.slug > $2 AND NOT c.stub
    AND strpos(lower(concat_ws(E'\n', c.slug, c.name, c.organisation, c.event)), lower($1)) > 0
ORDER BY c.slug LIMIT $3
