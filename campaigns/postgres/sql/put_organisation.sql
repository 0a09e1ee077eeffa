-- Makes or changes an organisation, and numbers its campaigns anew when it changed:
-- they carry what receipts have. Needs the revision lock. Reads the campaigns.
WITH changed AS (
    INSERT INTO organisations AS held (name, legal_name, tax_number) VALUES ($1, $2, $3)
    ON CONFLICT (name) DO UPDATE SET legal_name = excluded.legal_name, tax_number = excluded.tax_number
    WHERE (held.legal_name, held.tax_number) IS DISTINCT FROM (excluded.legal_name, excluded.tax_number)
    RETURNING name
)
UPDATE campaigns AS c SET revision = nextval('revisions'), changed_at = now()
FROM changed WHERE c.organisation = changed.name AND NOT c.stub
