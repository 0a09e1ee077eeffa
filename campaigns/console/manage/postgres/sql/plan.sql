-- What applying an import does, by imports_pkey.
SELECT plan FROM imports WHERE id = $1 AND plan IS NOT NULL
