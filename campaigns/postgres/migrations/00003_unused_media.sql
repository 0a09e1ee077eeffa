-- Since when no campaign names a picture, so that it can be removed after a while.

-- +goose Up

ALTER TABLE media ADD COLUMN unused_since timestamptz; -- null while one names it, and until somebody looked
