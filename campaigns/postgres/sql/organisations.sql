-- A page of the organisations whose names hold a text, in upper or lower case, in
-- order of name. Reads on by organisations_pkey until the page is full.
SELECT name, legal_name, tax_number FROM organisations
WHERE name > $2 AND strpos(lower(concat_ws(E'\n', name, legal_name, tax_number)), lower($1)) > 0
ORDER BY name LIMIT $3
