-- A conflict is other content under the ID of a donation that is recorded.
-- examined
SELECT count(*) FROM conflicts
-- offenders
SELECT c.id::text,
    CASE WHEN d.id IS NULL THEN 'a conflict with a donation that is not recorded'
         ELSE 'a conflict with the recorded content itself' END
FROM conflicts c
LEFT JOIN donations d ON d.id = c.id
WHERE d.id IS NULL OR d.fingerprint = c.fingerprint
