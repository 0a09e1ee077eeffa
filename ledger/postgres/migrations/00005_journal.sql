-- The journal: double entry, append-only, one row for each entry with its postings
-- inside, so that an entry and its balance are one thing that cannot be half there.

-- +goose Up

-- +goose StatementBegin
-- Whether the postings sum to zero in each currency, with no empty one among them.
CREATE FUNCTION is_balanced(currencies text[], amounts bigint[]) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT bool_and(total = 0) FROM (
        SELECT sum(p.amount) AS total FROM unnest(currencies, amounts) AS p (currency, amount) GROUP BY p.currency
    ) AS by_currency
$$;
-- +goose StatementEnd

CREATE TABLE entries (
    n           bigint      NOT NULL, -- place in the slot's chain, from 1 without gaps
    booked_at   timestamptz NOT NULL DEFAULT now(),
    occurred_at timestamptz NOT NULL, -- by the processor's clock
    slot        integer     NOT NULL,
    donation_id uuid,
    kind        text        NOT NULL,
    ref         text        NOT NULL, -- names the movement: booked once
    actor       text        NOT NULL DEFAULT '',
    reason      text        NOT NULL DEFAULT '',
    accounts    text[]      NOT NULL,
    currencies  text[]      NOT NULL,
    amounts     bigint[]    NOT NULL, -- debits positive, credits negative
    prev        bytea       NOT NULL,
    hash        bytea       NOT NULL,
    CONSTRAINT entries_pkey PRIMARY KEY (slot, n),
    CONSTRAINT entries_ref_once UNIQUE (ref),
    -- Nearly every entry has two or three postings of one currency; a function's call
    -- costs more than the rest of the row.
    CONSTRAINT entries_balanced CHECK (CASE
        WHEN cardinality(amounts) = 2 AND currencies[1] = currencies[2] THEN amounts[1]::numeric + amounts[2] = 0
        WHEN cardinality(amounts) = 3 AND currencies[1] = currencies[2] AND currencies[2] = currencies[3] THEN amounts[1]::numeric + amounts[2] + amounts[3] = 0
        ELSE is_balanced(currencies, amounts) END),
    CONSTRAINT entries_postings_match CHECK (cardinality(accounts) >= 2 AND cardinality(accounts) = cardinality(currencies) AND cardinality(accounts) = cardinality(amounts)),
    CONSTRAINT entries_no_zero CHECK (0 <> ALL (amounts)),
    -- What is NULL would pass every other rule here. One dimension, counted from 1.
    CONSTRAINT entries_no_null CHECK (array_position(accounts, NULL) IS NULL AND array_position(currencies, NULL) IS NULL AND array_position(amounts, NULL) IS NULL),
    CONSTRAINT entries_flat CHECK (array_ndims(accounts) = 1 AND array_ndims(currencies) = 1 AND array_ndims(amounts) = 1
        AND array_lower(accounts, 1) = 1 AND array_lower(currencies, 1) = 1 AND array_lower(amounts, 1) = 1),
    CONSTRAINT entries_n_positive CHECK (n >= 1),
    CONSTRAINT entries_hash_length CHECK (octet_length(hash) = 32 AND octet_length(prev) = 32),
    CONSTRAINT entries_ref_length CHECK (octet_length(ref) BETWEEN 1 AND 255)
);
CREATE TRIGGER entries_only_grow BEFORE UPDATE OR DELETE OR TRUNCATE ON entries
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- The postings one by one, for people and reports.
CREATE VIEW postings AS
    SELECT e.slot, e.n, e.kind, e.ref, e.donation_id, e.occurred_at, e.booked_at, p.account, p.currency, p.amount AS amount_minor
    FROM entries e, unnest(e.accounts, e.currencies, e.amounts) AS p (account, currency, amount);

-- The last link of each slot's chain; locked by whoever appends.
CREATE TABLE chain_heads (
    slot integer NOT NULL,
    n    bigint  NOT NULL,
    hash bytea   NOT NULL,
    CONSTRAINT chain_heads_pkey PRIMARY KEY (slot)
);

-- Money commands of people, and what became of them: the duplicate mark, and the
-- answer to whoever asked.
CREATE TABLE commands (
    command     uuid        NOT NULL, -- the command's own ID
    kind        text        NOT NULL, -- refund, offline_gift, correction
    asked_at    timestamptz NOT NULL, -- by whoever asked
    recorded_at timestamptz NOT NULL DEFAULT now(),
    actor       text        NOT NULL,
    reason      text        NOT NULL,
    donation_id uuid,
    outcome     text        NOT NULL, -- payments.CommandWord
    detail      text        NOT NULL DEFAULT '',
    CONSTRAINT commands_pkey PRIMARY KEY (command),
    CONSTRAINT commands_outcome_known CHECK (outcome IN ('done', 'refused'))
);
CREATE TRIGGER commands_only_grow BEFORE UPDATE OR DELETE OR TRUNCATE ON commands
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
