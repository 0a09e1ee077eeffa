-- A page of the organisations whose names hold a text, in order of name. Those that
-- rehearsals alone name are left out: nobody receives anything there, unless somebody wrote
-- down what receipts say. Reads on by organisations_pkey until the page is full, and the campaigns
-- once, some thousand rows.
SELECT name, legal_name, tax_number FROM organisations
WHERE name > $2 AND strpos(lower(concat_ws(E'\n', name, legal_name, tax_number)), lower($1)) > 0
    AND (legal_name IS NOT NULL OR tax_number IS NOT NULL OR name NOT IN (
        SELECT organisation FROM campaigns WHERE organisation IS NOT NULL GROUP BY organisation HAVING bool_and(rehearsal)
    ))
ORDER BY name LIMIT $3
