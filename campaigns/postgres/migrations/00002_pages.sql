-- What pages show of giving days and campaigns: banners, stories, pictures.

-- +goose Up

-- Giving days are published like campaigns, numbered by the same sequence. The
-- default serves a build of before, which makes them without a number.
ALTER TABLE events
    ADD COLUMN revision bigint NOT NULL DEFAULT nextval('revisions'),
    ADD COLUMN changed_at timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN banner text NOT NULL DEFAULT '',
    ADD CONSTRAINT events_revision_key UNIQUE (revision); -- also how EventsSince finds what changed

-- A picture, named by its bytes. It is never changed.
CREATE TABLE media (
    revision     bigint      NOT NULL DEFAULT nextval('revisions'),
    stored_at    timestamptz NOT NULL DEFAULT now(),
    key          text        NOT NULL,
    content_type text        NOT NULL,
    data         bytea       NOT NULL,
    CONSTRAINT media_pkey PRIMARY KEY (key),
    CONSTRAINT media_revision_key UNIQUE (revision), -- also how MediaSince finds what is new
    CONSTRAINT media_key_valid CHECK (key ~ '^[0-9a-f]{32}$'),
    CONSTRAINT media_size CHECK (octet_length(data) BETWEEN 1 AND 524288)
);
-- Pictures are compressed already.
ALTER TABLE media ALTER COLUMN data SET STORAGE EXTERNAL;

ALTER TABLE campaigns
    ADD COLUMN story text NOT NULL DEFAULT '',
    ADD COLUMN image text,
    ADD CONSTRAINT campaigns_image_fkey FOREIGN KEY (image) REFERENCES media (key);
