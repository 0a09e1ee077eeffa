-- What could not become a donation, kept until a person has looked at it.

-- +goose Up

-- Other content under a known key: the first stays, the loser is kept whole.
CREATE TABLE conflicts (
    received_at timestamptz NOT NULL, -- the loser's
    recorded_at timestamptz NOT NULL DEFAULT now(),
    id          uuid        NOT NULL,
    fingerprint uuid        NOT NULL, -- the loser's
    record      bytea       NOT NULL, -- the loser as an envelope's record

    -- A redelivery finds its row here, and a state look-up all losers of an ID.
    CONSTRAINT conflicts_pkey PRIMARY KEY (id, fingerprint)
);

-- Records that the ledger can never take.
CREATE TABLE quarantine (
    sequence       bigint      NOT NULL, -- in stream
    stored_at      timestamptz NOT NULL, -- by the broker
    quarantined_at timestamptz NOT NULL DEFAULT now(),
    record_index   integer     NOT NULL, -- in the envelope, -1 for the whole of it
    stream         text        NOT NULL,
    reason         text        NOT NULL,
    detail         text        NOT NULL, -- an error code or a constraint's name, never a value
    payload_hash   bytea       NOT NULL, -- SHA-256 of payload
    payload        bytea       NOT NULL,

    -- A redelivery finds its row here. Not the sequence: a broker that lost its
    -- tail uses numbers again.
    CONSTRAINT quarantine_pkey PRIMARY KEY (payload_hash),
    CONSTRAINT quarantine_reason_known CHECK (reason IN ('version', 'malformed', 'refused', 'unknown')),
    CONSTRAINT quarantine_hash_length CHECK (octet_length(payload_hash) = 32)
);
