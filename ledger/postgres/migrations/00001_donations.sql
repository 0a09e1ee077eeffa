-- What a donor gave. Two tables that only grow: the database refuses UPDATE,
-- DELETE and TRUNCATE on both, so that a wrong row is corrected by a new fact and
-- never by an edit. Columns stand in the order of their alignment (8, 4, 1 byte,
-- then the variable ones), so that a row carries no padding.

-- +goose Up

-- Blocks of sequence numbers: a writer draws 8192 numbers at once and hands them
-- out itself, which saves one nextval per donation. Numbers may be skipped and are
-- never used twice. The increment is BlockSize in record.go.
CREATE SEQUENCE donation_blocks AS bigint INCREMENT BY 8192 MINVALUE 1 START WITH 1;

CREATE TABLE donations (
    -- The key of this donation's lines: 8 bytes that grow, where the ID is 16 random ones.
    seq                bigint      NOT NULL,
    -- The front-end's clock. Campaign, limits and opening were judged by it.
    received_at        timestamptz NOT NULL,
    -- This database's clock, one value for a whole batch.
    recorded_at        timestamptz NOT NULL DEFAULT now(),
    token_expires_at   timestamptz NOT NULL,
    -- What is charged, and its two parts.
    amount_minor       bigint      NOT NULL,
    lines_minor        bigint      NOT NULL,
    fee_cover_minor    bigint      NOT NULL,
    -- A keyed hash of the client's address prefix: 64 bits, read as signed.
    source             bigint      NOT NULL,
    -- The key that sealed the personal fields, 0 when there were none.
    seal_key           bigint      NOT NULL,
    anonymous          boolean     NOT NULL,
    hide_amount        boolean     NOT NULL,
    id                 uuid        NOT NULL,
    -- 128 bits of a hash. A uuid holds exactly that and needs no length check.
    fingerprint        uuid        NOT NULL,
    currency           text        NOT NULL,
    confirmation_token text        NOT NULL,
    sealed             bytea       NOT NULL,

    -- The one index: it is the guarantee that a donation is recorded once, it finds
    -- a donation by its ID, and it costs a third of the insert. Whatever searches
    -- by anything else reads a projection.
    CONSTRAINT donations_pkey PRIMARY KEY (id),
    CONSTRAINT donations_amount_is_lines_and_fee CHECK (amount_minor = lines_minor + fee_cover_minor),
    CONSTRAINT donations_lines_positive CHECK (lines_minor >= 1),
    CONSTRAINT donations_fee_not_negative CHECK (fee_cover_minor >= 0),
    CONSTRAINT donations_currency_length CHECK (octet_length(currency) = 3),
    CONSTRAINT donations_token_length CHECK (octet_length(confirmation_token) BETWEEN 1 AND 255),
    -- Four bytes of UTF-8 a character, of 100 + 254 + 500 + 100 characters, and the seal.
    CONSTRAINT donations_sealed_length CHECK (octet_length(sealed) <= 4096),
    CONSTRAINT donations_sealed_has_key CHECK ((seal_key = 0) = (octet_length(sealed) = 0))
);
-- Sealed bytes are random to a compressor: do not try.
ALTER TABLE donations ALTER COLUMN sealed SET STORAGE EXTERNAL;

CREATE TABLE lines (
    donation_seq bigint   NOT NULL,
    amount_minor bigint   NOT NULL,
    line_no      smallint NOT NULL, -- from 1, as the donor sent them
    campaign     text     NOT NULL, -- slug; no foreign key, the ledger refuses nothing

    -- Finds the lines of a donation and allows each number once. New keys are the
    -- greatest, so inserts go to the index's last page.
    CONSTRAINT lines_pkey PRIMARY KEY (donation_seq, line_no),
    -- Intake allows far less. The upper bound keeps 200 lines from ever wrapping the
    -- 64 bits in which a writer sums them.
    CONSTRAINT lines_amount_range CHECK (amount_minor BETWEEN 1 AND 1000000000000),
    CONSTRAINT lines_number_positive CHECK (line_no >= 1),
    CONSTRAINT lines_campaign_length CHECK (octet_length(campaign) BETWEEN 1 AND 64)
);

-- +goose StatementBegin
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% on %.%: the ledger only grows', tg_op, tg_table_schema, tg_table_name
        USING ERRCODE = 'restrict_violation';
END $$;
-- +goose StatementEnd

-- Per statement: they cost an insert nothing, and fire even where no row matches.
CREATE TRIGGER donations_only_grow BEFORE UPDATE OR DELETE OR TRUNCATE ON donations
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER lines_only_grow BEFORE UPDATE OR DELETE OR TRUNCATE ON lines
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
