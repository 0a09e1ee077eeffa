-- Rehearsals can be removed: the whole book of rehearsals, which is tables of its own, and
-- nothing of any other. What only grows still only grows, but for that.

-- +goose Up

-- When this book was last emptied; NULL for never, and always in the donors' book. What
-- the processor tells of the time before is about what is no longer here.
ALTER TABLE installation ADD COLUMN emptied_at timestamptz;
-- Slots up to this number have ended with what was removed. No later one has their numbers:
-- whoever follows a slot's chain by its number must not take another for it.
ALTER TABLE installation ADD COLUMN ended_slot integer NOT NULL DEFAULT 0;

-- +goose StatementBegin
-- Lets a DELETE through where all of this is so: the table is of the rehearsals' schema,
-- whoever asks owns it, and the transaction has said that it removes rehearsals. It has to
-- be said because a person at a prompt, who owns everything, means something else.
CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF tg_op = 'DELETE' AND tg_table_schema = 'rehearsal'
        AND current_setting('spillway.removes', true) = 'rehearsal'
        AND pg_has_role(current_user, (SELECT relowner FROM pg_catalog.pg_class WHERE oid = tg_relid), 'USAGE')
    THEN
        RETURN NULL; -- per statement: what it returns is not read
    END IF;
    RAISE EXCEPTION '% on %.%: the ledger only grows', tg_op, tg_table_schema, tg_table_name
        USING ERRCODE = 'restrict_violation';
END $$;
-- +goose StatementEnd
