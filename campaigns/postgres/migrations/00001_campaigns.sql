-- Giving days, who receives, and what donors give to.

-- +goose Up

-- A giving day. Several may live in one installation.
CREATE TABLE events (
    starts_at timestamptz,
    ends_at   timestamptz,
    slug      text NOT NULL,
    name      text NOT NULL,
    time_zone text NOT NULL DEFAULT 'UTC', -- of the hours that people read
    CONSTRAINT events_pkey PRIMARY KEY (slug),
    CONSTRAINT events_slug_valid CHECK (slug ~ '^[a-z0-9]([a-z0-9_-]{0,62}[a-z0-9])?$'),
    CONSTRAINT events_name_given CHECK (name <> ''),
    CONSTRAINT events_end_after_start CHECK (ends_at > starts_at)
);

-- Who receives, by the name that donors read. Legal name and tax number are for
-- receipts.
CREATE TABLE organisations (
    name       text NOT NULL,
    legal_name text,
    tax_number text,
    CONSTRAINT organisations_pkey PRIMARY KEY (name),
    CONSTRAINT organisations_name_given CHECK (name <> '')
);

-- Numbers the changes of campaigns. A number is taken under an advisory lock that
-- is held until the commit, so that numbers become visible in their order: who has
-- read up to n never misses a lower one that commits later.
CREATE SEQUENCE revisions AS bigint;

CREATE TABLE campaigns (
    revision     bigint      NOT NULL,
    goal_minor   bigint      NOT NULL DEFAULT 0, -- 0 for none
    min_minor    bigint      NOT NULL DEFAULT 0, -- of a line, 0 for the contract's
    max_minor    bigint      NOT NULL DEFAULT 0, -- likewise
    starts_at    timestamptz,                    -- null: from ever
    ends_at      timestamptz,                    -- null: never
    changed_at   timestamptz NOT NULL DEFAULT now(),
    rehearsal    boolean     NOT NULL DEFAULT false,
    -- Nobody made it: gifts were found whose campaign was not known (a database
    -- restored from an older backup). Never published; verify names it.
    stub         boolean     NOT NULL DEFAULT false,
    slug         text        NOT NULL,
    name         text        NOT NULL,
    event        text,
    organisation text,
    parent       text,
    currency     text        NOT NULL,

    CONSTRAINT campaigns_pkey PRIMARY KEY (slug),
    -- Also how Since finds what changed.
    CONSTRAINT campaigns_revision_key UNIQUE (revision),
    CONSTRAINT campaigns_event_fkey FOREIGN KEY (event) REFERENCES events (slug),
    CONSTRAINT campaigns_organisation_fkey FOREIGN KEY (organisation) REFERENCES organisations (name),
    CONSTRAINT campaigns_parent_fkey FOREIGN KEY (parent) REFERENCES campaigns (slug),
    CONSTRAINT campaigns_slug_valid CHECK (slug ~ '^[a-z0-9]([a-z0-9_-]{0,62}[a-z0-9])?$'),
    CONSTRAINT campaigns_name_given CHECK (name <> ''),
    CONSTRAINT campaigns_currency_code CHECK (currency ~ '^[A-Z]{3}$'),
    CONSTRAINT campaigns_amounts_not_negative CHECK (goal_minor >= 0 AND min_minor >= 0 AND max_minor >= 0),
    CONSTRAINT campaigns_min_below_max CHECK (max_minor = 0 OR min_minor <= max_minor),
    CONSTRAINT campaigns_end_after_start CHECK (ends_at > starts_at),
    CONSTRAINT campaigns_parent_is_another CHECK (parent <> slug)
);

-- What a campaign's gifts, slots and frames already say cannot be changed under
-- them. A stub was guessed from the gifts and may be corrected.
-- +goose StatementBegin
CREATE FUNCTION keep_identity() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF new.slug <> old.slug THEN
        RAISE EXCEPTION 'the slug of a campaign cannot be changed'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'campaigns_slug_kept', DETAIL = old.slug;
    END IF;
    IF old.stub THEN
        RETURN new;
    END IF;
    IF new.currency <> old.currency THEN
        RAISE EXCEPTION 'the currency of a campaign cannot be changed'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'campaigns_currency_kept', DETAIL = old.slug;
    END IF;
    IF new.rehearsal <> old.rehearsal THEN
        RAISE EXCEPTION 'a campaign stays in its book'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'campaigns_book_kept', DETAIL = old.slug;
    END IF;
    RETURN new;
END $$;
-- +goose StatementEnd

CREATE TRIGGER campaigns_keep_identity BEFORE UPDATE ON campaigns
    FOR EACH ROW EXECUTE FUNCTION keep_identity();
