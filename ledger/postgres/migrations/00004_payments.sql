-- Being paid: what is due, what was called, what became of it. These rows change;
-- what they did to the money stands in the journal, which only grows.

-- +goose Up

-- The donations of one recording transaction, whose first attempts are still to be
-- made: one row for a whole batch, so that recording pays for one row and not for
-- thousands. Making the attempts removes it in the same transaction.
CREATE TABLE due_batches (
    batch       bigint      GENERATED ALWAYS AS IDENTITY,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    donations   uuid[]      NOT NULL,
    CONSTRAINT due_batches_pkey PRIMARY KEY (batch)
);
ALTER TABLE due_batches ALTER COLUMN donations SET STORAGE EXTERNAL; -- random to a compressor

-- A donor's further wishes, as the stream brought them: another card, a cancellation.
-- The payments role turns each into a fact and removes it with the effect.
CREATE TABLE requests (
    request     uuid        NOT NULL, -- derived from the request's own idempotency key
    donation_id uuid        NOT NULL,
    kind        text        NOT NULL,
    token       text        NOT NULL, -- confirmation token, '' for a cancellation
    expires_at  timestamptz,
    received_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    done_at     timestamptz,          -- kept, so that a redelivery does nothing
    CONSTRAINT requests_pkey PRIMARY KEY (request),
    CONSTRAINT requests_kind_known CHECK (kind IN ('attempt', 'cancellation'))
);
CREATE INDEX requests_open ON requests (recorded_at) WHERE done_at IS NULL;

-- One row for each donation whose attempt was made: payments.Payment.
CREATE TABLE payments (
    donation_id     uuid        NOT NULL,
    intent          text        NOT NULL DEFAULT '',
    charge          text        NOT NULL DEFAULT '',
    captured_minor  bigint      NOT NULL DEFAULT 0,
    captured_at     timestamptz,
    fee_minor       bigint,               -- NULL until known
    fee_currency    text,
    cancel          smallint    NOT NULL DEFAULT 0, -- payments.CancelReason
    attempt_no      integer     NOT NULL, -- the last attempt
    status          text        NOT NULL, -- derived, a word of the public contract
    reason          text        NOT NULL DEFAULT '',
    changed_at      timestamptz NOT NULL DEFAULT now(),
    lines_refunded  bigint[],             -- by line, NULL when nothing was
    lines_lost      bigint[],
    CONSTRAINT payments_pkey PRIMARY KEY (donation_id)
) WITH (fillfactor = 80);
-- An event of the processor names the intent or the charge; most rows have both once.
CREATE INDEX payments_charge ON payments (charge) WHERE charge <> '';

-- One row for each confirmation token.
CREATE TABLE attempts (
    donation_id      uuid        NOT NULL,
    attempt_no       integer     NOT NULL,
    state            smallint    NOT NULL, -- payments.AttemptState
    source           bigint      NOT NULL, -- of the donation: fairness between sources
    token            text        NOT NULL,
    token_expires_at timestamptz NOT NULL,
    request          uuid,                 -- NULL for the first
    -- Claiming: tier 0 are live donors' first calls, 1 calls to be repeated.
    tier             smallint    NOT NULL DEFAULT 0,
    not_before       timestamptz NOT NULL, -- due: its turn; calling: when the claim lapses
    claimed_by       text        NOT NULL DEFAULT '',
    calls            integer     NOT NULL DEFAULT 0,
    params           bytea,                -- the call's exact body, stored before it is first sent
    first_called_at  timestamptz,
    look_first       boolean     NOT NULL DEFAULT false,
    changed_at       timestamptz NOT NULL,
    charge           text        NOT NULL DEFAULT '',
    client_secret    text        NOT NULL DEFAULT '',
    action_by        timestamptz,
    reason           text        NOT NULL DEFAULT '',
    decline          text        NOT NULL DEFAULT '',
    CONSTRAINT attempts_pkey PRIMARY KEY (donation_id, attempt_no),
    CONSTRAINT attempts_state_known CHECK (state BETWEEN 1 AND 7)
) WITH (fillfactor = 70);

-- Refunds and disputes of payments; refunds also hold what a person asked for
-- before the processor has named it.
CREATE TABLE refunds (
    refund        uuid        NOT NULL, -- our ID: derived from the command's key, or from the processor's ID
    donation_id   uuid        NOT NULL,
    processor_id  text,                 -- NULL until the processor has answered
    amount_minor  bigint      NOT NULL,
    lines         bigint[]    NOT NULL,
    status        text        NOT NULL, -- 'requested', 'calling', then the processor's word; 'refused' when it never will
    actor         text        NOT NULL DEFAULT '',
    reason        text        NOT NULL DEFAULT '',
    detail        text        NOT NULL DEFAULT '', -- why the processor refused it: its error code
    asked_at      timestamptz NOT NULL DEFAULT now(),
    params        bytea,
    first_called_at timestamptz,
    not_before    timestamptz NOT NULL DEFAULT now(),
    changed_at    timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT refunds_pkey PRIMARY KEY (refund),
    CONSTRAINT refunds_processor_id_once UNIQUE (processor_id),
    CONSTRAINT refunds_amount_positive CHECK (amount_minor >= 1)
);
CREATE INDEX refunds_donation ON refunds (donation_id);
CREATE INDEX refunds_open ON refunds (not_before) WHERE status IN ('requested', 'calling');

CREATE TABLE disputes (
    dispute      text        NOT NULL, -- the processor's ID
    donation_id  uuid        NOT NULL,
    amount_minor bigint      NOT NULL,
    status       text        NOT NULL, -- open, won, lost
    lines        bigint[],
    changed_at   timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT disputes_pkey PRIMARY KEY (dispute)
);
CREATE INDEX disputes_donation ON disputes (donation_id);

-- The duplicate marks of webhooks, committed with their effects; and the events
-- whose donation is not there yet, parked whole.
CREATE TABLE processor_events (
    event_id    text        NOT NULL,
    type        text        NOT NULL,
    created_at  timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    verdict     smallint    NOT NULL, -- payments.Verdict
    donation_id uuid,
    parked      bytea,                -- the event's body while its donation is not there
    look_at     timestamptz NOT NULL DEFAULT now(), -- parked: when it is worth another look
    CONSTRAINT processor_events_pkey PRIMARY KEY (event_id)
);
CREATE INDEX processor_events_parked ON processor_events (look_at) WHERE parked IS NOT NULL;

-- The pace: one bucket for each account and endpoint. All processes take from it.
CREATE TABLE pace (
    account      text             NOT NULL,
    endpoint     text             NOT NULL, -- 'payment_intents', 'refunds', ..., '*' for the whole account
    per_second   double precision NOT NULL, -- what is allowed: a rate, not money
    current      double precision NOT NULL, -- slowed on 429, recovers by itself
    tokens       double precision NOT NULL,
    filled_at    timestamptz      NOT NULL,
    paused       boolean          NOT NULL DEFAULT false,
    changed_by   text             NOT NULL DEFAULT '',
    CONSTRAINT pace_pkey PRIMARY KEY (account, endpoint)
);
