-- Files that organisers had read, and what became of them.

-- +goose Up

CREATE TABLE imports (
    id          text        NOT NULL,
    kind        text        NOT NULL,
    created_at  timestamptz NOT NULL,
    ended_at    timestamptz,
    held_until  timestamptz NOT NULL DEFAULT '-infinity', -- while a process applies it
    bytes       integer     NOT NULL,
    total       integer     NOT NULL DEFAULT 0,
    done        integer     NOT NULL DEFAULT 0,
    leave_out   boolean     NOT NULL DEFAULT false,
    state       text        NOT NULL DEFAULT 'planned',
    holder      text        NOT NULL DEFAULT '',
    actor_id    text        NOT NULL,
    actor       text        NOT NULL,
    network     text        NOT NULL,
    file_name   text        NOT NULL,
    format      text        NOT NULL,
    outcome     text        NOT NULL DEFAULT '',
    notices     text[]      NOT NULL,
    sha256      bytea       NOT NULL,
    summary     jsonb       NOT NULL,
    -- What applying it does, as JSON of the console's own; null when it is too old to be
    -- applied. It holds no donor's name.
    plan        bytea,
    CONSTRAINT imports_pkey PRIMARY KEY (id),
    CONSTRAINT imports_id_hex CHECK (id ~ '^[0-9a-f]{32}$'),
    CONSTRAINT imports_kind_known CHECK (kind IN ('campaigns', 'gifts')),
    CONSTRAINT imports_state_known CHECK (state IN ('planned', 'applying', 'done', 'failed', 'discarded')),
    CONSTRAINT imports_sha256_length CHECK (octet_length(sha256) = 32),
    CONSTRAINT imports_applying_has_plan CHECK (state <> 'applying' OR plan IS NOT NULL)
);
-- The newest are listed, the old ones pruned.
CREATE INDEX imports_created ON imports (created_at DESC);
-- What a process that starts has to take up.
CREATE INDEX imports_applying ON imports (created_at) WHERE state = 'applying';
