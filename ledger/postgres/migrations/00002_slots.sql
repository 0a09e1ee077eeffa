-- The totals in their parts, and who may write which part.

-- +goose Up

-- One row: the epoch of this installation. A restore from a backup raises it, and
-- whatever was published under a lower one no longer counts.
CREATE TABLE installation (
    epoch    bigint  NOT NULL,
    only_row boolean NOT NULL DEFAULT true,
    CONSTRAINT installation_pkey PRIMARY KEY (only_row),
    CONSTRAINT installation_one_row CHECK (only_row),
    CONSTRAINT installation_epoch_positive CHECK (epoch >= 1)
);
INSERT INTO installation (epoch) VALUES (1);

-- One writer's part of a campaign's total. A total is the sum over the slots; a
-- slot may be negative. It changes only by x = x + delta, in the transaction that
-- committed the cause.
CREATE TABLE slots (
    pledged_minor bigint  NOT NULL,
    raised_minor  bigint  NOT NULL DEFAULT 0,
    donations     bigint  NOT NULL, -- lines counted into pledged_minor
    version       bigint  NOT NULL, -- rises by one with every change of this row
    slot          integer NOT NULL,
    campaign      text    NOT NULL,
    currency      text    NOT NULL,

    -- The slot first: a snapshot reads one slot whole.
    CONSTRAINT slots_pkey PRIMARY KEY (slot, campaign, currency),
    CONSTRAINT slots_version_positive CHECK (version >= 1),
    CONSTRAINT slots_slot_positive CHECK (slot >= 1)
) WITH (
    -- A hot row is rewritten many times a second. Half of each page stays free, so
    -- that the new version lands on its own page, touches no index (no indexed
    -- column changes) and is pruned by the next visitor.
    fillfactor = 50,
    -- The table is small and its rows die fast: vacuum by count, not by share.
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
    autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 50000
);

-- The fence. Every recording transaction share-locks its slot's row and fails when
-- the term has moved on; only a change of hands writes it.
CREATE TABLE slot_terms (
    term  bigint  NOT NULL, -- rises by one with every change of hands
    epoch bigint  NOT NULL, -- the installation's when the term began: after a restore terms may repeat
    slot  integer NOT NULL,
    CONSTRAINT slot_terms_pkey PRIMARY KEY (slot),
    CONSTRAINT slot_terms_slot_positive CHECK (slot >= 1)
);

-- The lease itself, apart from the fence, so that a renewal never waits for a
-- transaction nor the reverse. A slot is free when closed, held until "until", and
-- to be adopted afterwards. All times are this database's clock.
CREATE TABLE slot_leases (
    term   bigint      NOT NULL,
    until  timestamptz NOT NULL,
    slot   integer     NOT NULL,
    closed boolean     NOT NULL,
    holder text        NOT NULL, -- which process, for people
    CONSTRAINT slot_leases_pkey PRIMARY KEY (slot)
) WITH (
    -- Renewed every second: room for the new version beside the old one.
    fillfactor = 50,
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000
);
