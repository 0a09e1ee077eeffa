-- Who applied a file, and when: the same file of gifts without days, applied on another
-- day, would be booked again.

-- +goose Up

-- Null and '' for those of before, and for what a console of before applies: it is then
-- whoever had the file read, when that ended.
ALTER TABLE imports ADD COLUMN applied_at timestamptz, ADD COLUMN applied_by text NOT NULL DEFAULT '';
-- Asked when a file is read, and when it is to be applied.
CREATE INDEX imports_applied ON imports (sha256) WHERE state IN ('applying', 'done');
