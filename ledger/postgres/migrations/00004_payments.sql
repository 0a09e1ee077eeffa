-- Being paid: what is due, what was called, what became of it. These rows change;
-- what they did to the money stands in the journal, which only grows.

-- +goose Up

-- The donations of one recording transaction, whose first attempts are still to be
-- made: one row for a whole batch, so that recording pays for one row and not for
-- thousands. Making the last attempts removes it in the same transaction.
CREATE TABLE due_batches (
    batch       bigint      GENERATED ALWAYS AS IDENTITY,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    count       integer     NOT NULL,           -- of donations: the array is not read to be counted
    expanded    integer     NOT NULL DEFAULT 0, -- so many of them have their attempts
    donations   uuid[]      NOT NULL,           -- by ID
    CONSTRAINT due_batches_pkey PRIMARY KEY (batch),
    CONSTRAINT due_batches_count CHECK (count >= 1 AND count = cardinality(donations)),
    CONSTRAINT due_batches_expanded CHECK (expanded >= 0 AND expanded < count)
);
ALTER TABLE due_batches ALTER COLUMN donations SET STORAGE EXTERNAL; -- random to a compressor
-- Donations of the time before payments are due as well: most of their cards are
-- needed again, and their donors are told so.
INSERT INTO due_batches (donations, count)
SELECT array_agg(id ORDER BY id), count(*) FROM donations GROUP BY seq / 8192 ORDER BY seq / 8192;

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
    others          jsonb,                -- payments.OtherCharge, NULL for none
    CONSTRAINT payments_pkey PRIMARY KEY (donation_id)
) WITH (fillfactor = 80);
-- No index on charge: the journal finds a charge by its ref. Those to be canceled at
-- the processor are few.
CREATE INDEX payments_to_cancel ON payments (changed_at) WHERE cancel <> 0 AND intent <> '' AND charge = '';
-- Those whose capture an event told, which does not say the fee: it is asked for.
CREATE INDEX payments_feeless ON payments (captured_at) WHERE charge <> '' AND fee_minor IS NULL;

-- One row for each confirmation token.
CREATE TABLE attempts (
    donation_id      uuid        NOT NULL,
    attempt_no       integer     NOT NULL,
    state            smallint    NOT NULL, -- payments.AttemptState
    source           bigint      NOT NULL, -- of the donation: fairness between sources
    token            text        NOT NULL,
    token_expires_at timestamptz NOT NULL,
    request          uuid,                 -- NULL for the first
    -- While due, which line it stands in:
    --   0  live donors' first calls whose turn it is, another card's too
    --   1  calls to be repeated
    --   2  first calls beyond their source's share: not_before is their source's turn,
    --      and then they move to 0; when nobody else waits they go at once
    --   3  calls to be repeated after not_before, and then they move to 1
    tier             smallint    NOT NULL DEFAULT 0,
    -- Due: its turn. Calling: when the claim lapses and the same call may be repeated.
    -- The time of business, as all times here.
    not_before       timestamptz NOT NULL,
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
    CONSTRAINT attempts_state_known CHECK (state BETWEEN 1 AND 7),
    CONSTRAINT attempts_tier_known CHECK (tier BETWEEN 0 AND 3),
    -- What may have been sent is known exactly, so that it is repeated as it was.
    CONSTRAINT attempts_called_with_params CHECK (state <> 2 OR (params IS NOT NULL AND first_called_at IS NOT NULL))
) WITH (
    fillfactor = 70,
    -- Each row dies a few times in its life, and the queue's head is where they died:
    -- vacuum by count, so that a claim does not walk over the dead of an hour.
    autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 5000
);
-- Claims walk a line in the order in which tokens expire; overdue tokens are its start.
-- The queue is counted, and its oldest found, in this index alone.
CREATE INDEX attempts_due ON attempts (tier, token_expires_at) INCLUDE (changed_at) WHERE state = 1;
-- Those whose turn has come move to the line of those who may go.
CREATE INDEX attempts_waiting ON attempts (not_before) WHERE state = 1 AND tier >= 2;
-- The last turn that a source was given.
CREATE INDEX attempts_turns ON attempts (source, not_before) WHERE state = 1 AND tier IN (0, 2);
-- Claims that lapsed.
CREATE INDEX attempts_lapsed ON attempts (not_before) WHERE state = 2;
-- Calls older than the processor's memory, and payments that are stuck.
CREATE INDEX attempts_open ON attempts (first_called_at) WHERE state BETWEEN 2 AND 4;
-- Donors who did not come back.
CREATE INDEX attempts_action ON attempts (action_by) WHERE state = 3;

-- One row: the length of the queue as it was last counted, so that donors can be
-- told how long it takes without counting it for each of them.
CREATE TABLE queue_figures (
    only_row   boolean          NOT NULL DEFAULT true,
    counted_at timestamptz      NOT NULL,
    oldest_at  timestamptz,               -- since when the first of those who are due waits
    due        bigint           NOT NULL, -- attempts due, and donations without their attempt
    per_second double precision NOT NULL, -- a rate, not money
    CONSTRAINT queue_figures_pkey PRIMARY KEY (only_row),
    CONSTRAINT queue_figures_one_row CHECK (only_row)
);

-- Refunds and disputes of payments; refunds also hold what a person asked for
-- before the processor has named it.
CREATE TABLE refunds (
    refund        uuid        NOT NULL, -- our ID: derived from the command's key, or from the processor's ID
    donation_id   uuid        NOT NULL,
    processor_id  text,                 -- NULL until the processor has answered
    amount_minor  bigint      NOT NULL,
    lines         bigint[]    NOT NULL, -- as asked; empty: pro rata
    charge        text        NOT NULL DEFAULT '', -- '' for the payment's
    created_at    timestamptz,          -- by the processor's clock
    seen_at       timestamptz,          -- the time of the fact that brought it into its status
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
    dispute            text        NOT NULL, -- the processor's ID
    donation_id        uuid        NOT NULL,
    charge             text        NOT NULL, -- '' for the payment's
    amount_minor       bigint      NOT NULL,
    status             text        NOT NULL, -- open, won, lost
    turned             boolean     NOT NULL, -- both outcomes were reported
    fee_minor          bigint      NOT NULL, -- what was booked of its fee
    fee_returned_minor bigint      NOT NULL,
    fee_currency       text        NOT NULL,
    created_at         timestamptz,          -- by the processor's clock
    seen_at            timestamptz,          -- the time of the newest fact of this status
    changed_at         timestamptz NOT NULL DEFAULT now(),
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

-- The pace: one bucket for each account and endpoint. All processes take from it. The
-- processor counts an account's requests, whichever book they are for: the buckets
-- of both books are those in the schema of the live one.
CREATE TABLE pace (
    account      text             NOT NULL,
    endpoint     text             NOT NULL, -- 'payment_intents', 'refunds', ..., '*' for the whole account
    per_second   double precision NOT NULL, -- what is allowed: a rate, not money
    current      double precision NOT NULL, -- what was allowed at slowed_at; it recovers from there
    slowed_at    timestamptz,               -- the last 429 that counted
    tokens       double precision NOT NULL, -- at filled_at
    filled_at    timestamptz      NOT NULL,
    paused       boolean          NOT NULL DEFAULT false,
    changed_by   text             NOT NULL DEFAULT '',
    CONSTRAINT pace_pkey PRIMARY KEY (account, endpoint),
    CONSTRAINT pace_positive CHECK (per_second > 0 AND current > 0 AND per_second < 'Infinity' AND current < 'Infinity')
) WITH (fillfactor = 50);
