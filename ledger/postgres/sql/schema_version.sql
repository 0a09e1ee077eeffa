-- The newest migration that was applied to this schema; a few rows in all.
SELECT coalesce(max(version_id), 0) FROM goose_db_version WHERE is_applied
