-- One organisation, by organisations_pkey.
SELECT name, legal_name, tax_number FROM organisations WHERE name = $1
