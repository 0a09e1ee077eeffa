-- What a restore from a backup needs to know, kept beside the data so that every
-- backup holds it: up to where the broker's streams are in these tables, and when this
-- database was restored.

-- +goose Up

-- One row for each stream and hour, the newest note of that hour. A sequence is noted
-- after everything up to it was acknowledged to the broker, and what is acknowledged was
-- committed before: whichever moment of this database a backup, or a standby that
-- lagged behind, is of, it holds every effect of the messages up to the sequence that it
-- holds. Earlier hours are kept for a restore that was noticed late.
CREATE TABLE stream_positions (
    hour       timestamptz NOT NULL, -- its beginning
    noted_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    made_at    timestamptz NOT NULL, -- when the stream was made: another one counts from 1 again
    sequence   bigint      NOT NULL, -- the last of those that are all acknowledged
    stream     text        NOT NULL,
    CONSTRAINT stream_positions_pkey PRIMARY KEY (stream, hour),
    CONSTRAINT stream_positions_sequence_positive CHECK (sequence >= 0)
);

-- One row for each restore. What was accepted before look_before may have been charged
-- by processes whose notes were lost: it is looked for at the processor first.
CREATE TABLE restores (
    epoch       bigint      NOT NULL, -- that it began
    restored_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    lost_since  timestamptz NOT NULL, -- what was written since may be missing
    replay_to   timestamptz NOT NULL, -- the broker's clock then: what was stored before is to be replayed
    look_before timestamptz NOT NULL, -- restored_at and what clocks may differ by
    CONSTRAINT restores_pkey PRIMARY KEY (epoch)
);
CREATE TRIGGER restores_only_grow BEFORE UPDATE OR DELETE OR TRUNCATE ON restores
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Those whose replay has ended: every message that the streams held when the database
-- was restored was applied. Until then nothing that may have been charged is called.
CREATE TABLE replays (
    epoch    bigint      NOT NULL,
    ended_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT replays_pkey PRIMARY KEY (epoch)
);
CREATE TRIGGER replays_only_grow BEFORE UPDATE OR DELETE OR TRUNCATE ON replays
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Whether anything is still to be looked for after a restore: none of them otherwise.
CREATE INDEX attempts_look ON attempts (donation_id) WHERE look_first AND state <= 2;
