-- What donations are searched by. Everything here but search_hidden can be made anew
-- from the ledger, and an index more costs the
-- ledger nothing.
--
-- Rows are named by the ledger's donation number: 8 bytes that grow, where an ID is
-- 16 random ones. Lists are in the order of (received_at, seq), which never changes
-- for a donation, so that a page's end is a place that stays.

-- +goose Up

-- What a donor said once and for all. It never changes, so its indexes are paid for once.
CREATE TABLE search_donations (
    seq             bigint      NOT NULL,
    received_at     timestamptz NOT NULL,
    amount_minor    bigint      NOT NULL,
    fee_cover_minor bigint      NOT NULL,
    id              uuid        NOT NULL,
    donor           uuid,                 -- keyed hash of the e-mail address, NULL without one
    anonymous       boolean     NOT NULL,
    hide_amount     boolean     NOT NULL,
    currency        text        NOT NULL,
    name            text        NOT NULL, -- personal fields, '' for none
    email           text        NOT NULL,
    message         text        NOT NULL,
    dedication      text        NOT NULL, -- as it is shown
    words           text[]      NOT NULL, -- what the donor is found by
    campaigns       text[]      NOT NULL, -- lines, in their order
    amounts         bigint[]    NOT NULL,
    CONSTRAINT search_donations_pkey PRIMARY KEY (seq)
);
-- Lists without another filter, and those whose filters match often.
CREATE INDEX search_donations_time ON search_donations (received_at, seq);
-- With the place in lists, so that the index alone answers.
CREATE INDEX search_donations_amount ON search_donations (currency, amount_minor) INCLUDE (received_at, seq);

-- The words that a donor is found by, one row each. A plain index finds beginnings of
-- words, can be left after as many as are wanted, and needs no extension, which a
-- managed database may not allow. (An inverted index first gathers all that fit: 0.7 s
-- for a first name that a fifth of two million donors have.)
CREATE TABLE search_words (
    received_at timestamptz NOT NULL,
    seq         bigint      NOT NULL,
    word        text        COLLATE "C" NOT NULL,
    CONSTRAINT search_words_pkey PRIMARY KEY (word, received_at, seq)
);

-- What became of it. Narrow, because every change writes a new version of the row.
CREATE TABLE search_states (
    seq            bigint      NOT NULL,
    received_at    timestamptz NOT NULL, -- as in search_donations
    refunded_minor bigint      NOT NULL,
    look_at        timestamptz,          -- when to look again, NULL once facts alone move it
    status         text        NOT NULL,
    reason         text        NOT NULL,
    intent         text        NOT NULL,
    charge         text        NOT NULL,
    CONSTRAINT search_states_pkey PRIMARY KEY (seq)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX search_states_status ON search_states (status, received_at, seq);
CREATE INDEX search_states_refunded ON search_states (received_at, seq) WHERE refunded_minor > 0;
CREATE INDEX search_states_intent ON search_states (intent) WHERE intent <> '';
CREATE INDEX search_states_charge ON search_states (charge) WHERE charge <> '';
CREATE INDEX search_states_look ON search_states (look_at) WHERE look_at IS NOT NULL;

-- A campaign's donations in the order of lists.
CREATE TABLE search_lines (
    received_at timestamptz NOT NULL,
    seq         bigint      NOT NULL,
    campaign    text        NOT NULL,
    CONSTRAINT search_lines_pkey PRIMARY KEY (campaign, received_at, seq)
);

-- Gifts that everybody may see, of each campaign and of '_day': those that succeeded
-- and were not given back.
CREATE TABLE search_feed (
    received_at timestamptz NOT NULL,
    seq         bigint      NOT NULL,
    campaign    text        NOT NULL,
    CONSTRAINT search_feed_pkey PRIMARY KEY (campaign, received_at, seq)
);

-- How many donations that count a donor gave to each campaign, and on '_day' to all.
-- The donor first: one donor's rows lie together.
CREATE TABLE search_donors (
    donor    uuid    NOT NULL,
    gifts    integer NOT NULL,
    campaign text    NOT NULL,
    CONSTRAINT search_donors_pkey PRIMARY KEY (donor, campaign),
    CONSTRAINT search_donors_gifts_not_negative CHECK (gifts >= 0)
) WITH (fillfactor = 90);

-- The figures of each campaign's wall, and of '_day'.
CREATE TABLE search_campaigns (
    donors   bigint NOT NULL DEFAULT 0,
    -- Rises with every change, also over a rebuild and a restore: microseconds of the
    -- clock, or one more than the last.
    version  bigint NOT NULL,
    campaign text   NOT NULL,
    CONSTRAINT search_campaigns_pkey PRIMARY KEY (campaign),
    CONSTRAINT search_campaigns_donors_not_negative CHECK (donors >= 0)
) WITH (
    fillfactor = 50, -- rewritten with every batch, on its own page
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000
);

-- A donation's entries in the journal, which has no index for it.
CREATE TABLE search_entries (
    donation_id uuid    NOT NULL,
    n           bigint  NOT NULL,
    slot        integer NOT NULL,
    CONSTRAINT search_entries_pkey PRIMARY KEY (donation_id, slot, n)
);

-- Up to where each slot's chain of the journal was followed.
CREATE TABLE search_slots (
    n    bigint  NOT NULL,
    slot integer NOT NULL,
    CONSTRAINT search_slots_pkey PRIMARY KEY (slot)
) WITH (fillfactor = 50);

-- What organisers hide. It is nobody's copy: a rebuild keeps it.
CREATE TABLE search_hidden (
    seq       bigint      NOT NULL,
    hidden_at timestamptz NOT NULL DEFAULT now(),
    id        uuid        NOT NULL,
    what      smallint    NOT NULL, -- search.Hide
    actor     text        NOT NULL,
    CONSTRAINT search_hidden_pkey PRIMARY KEY (seq),
    CONSTRAINT search_hidden_what_known CHECK (what BETWEEN 1 AND 3)
);

-- Where the projection stands: one row.
CREATE TABLE search_progress (
    only_row  boolean     NOT NULL DEFAULT true,
    -- The ledger's epoch that all this is of; another one means a restore, and that
    -- it is made anew.
    epoch     bigint      NOT NULL,
    rows      bigint      NOT NULL DEFAULT 0,
    behind    bigint      NOT NULL DEFAULT 0,
    as_of     timestamptz NOT NULL DEFAULT 'epoch',
    -- The ledger is walked once by its key, for what no stream holds any more: up to
    -- here, NULL when it was walked to the end.
    walked    uuid        DEFAULT '00000000-0000-0000-0000-000000000000',
    CONSTRAINT search_progress_pkey PRIMARY KEY (only_row),
    CONSTRAINT search_progress_one_row CHECK (only_row)
) WITH (fillfactor = 50);
INSERT INTO search_progress (epoch) VALUES (0);
