-- A slot's row was changed at least once, and each change raised its version.
-- examined
SELECT count(*) FROM slots
-- offenders
SELECT format('slot %s %s %s', slot, campaign, currency), format('version %s', version)
FROM slots
WHERE version < 1 OR slot < 1
