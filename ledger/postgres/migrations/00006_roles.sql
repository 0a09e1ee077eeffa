-- The application's role. Migrations run as the owner of these tables; the binary works
-- as spillway_app, which may add to what only grows and change nothing of it. The
-- triggers say no to the owner as well; a role without the right need not be told.

-- +goose Up

-- +goose StatementBegin
-- Makes the role where the login may, lets the login take it, and gives it its rights
-- in this schema. Called after every migration, so that tables of later ones get
-- theirs and a role that an operator made in the meantime is found. Tells whether
-- there is a role.
CREATE FUNCTION grant_app() RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    home text := current_schema();
    item record;
    rights text;
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'spillway_app') THEN
        BEGIN
            CREATE ROLE spillway_app NOLOGIN;
        EXCEPTION
            WHEN duplicate_object OR unique_violation THEN
                NULL; -- another installation of this server was faster
            WHEN insufficient_privilege THEN
                RAISE WARNING 'role spillway_app is missing and % may not make it: the application works with the rights of its login. '
                    'Have it made (CREATE ROLE spillway_app; GRANT spillway_app TO %), then migrate again.', quote_ident(current_user), quote_ident(current_user);
                RETURN false;
        END;
    END IF;
    IF NOT pg_has_role(current_user, 'spillway_app', CASE WHEN current_setting('server_version_num')::integer >= 160000 THEN 'SET' ELSE 'MEMBER' END) THEN
        BEGIN
            EXECUTE format('GRANT spillway_app TO %I', current_user);
        EXCEPTION WHEN insufficient_privilege THEN
            RAISE WARNING 'login % may not take the role spillway_app: if the application uses it too, grant it.', quote_ident(current_user);
        END;
    END IF;

    EXECUTE format('GRANT USAGE ON SCHEMA %I TO spillway_app', home);
    FOR item IN
        SELECT c.oid, c.relname, c.relkind, EXISTS (
            SELECT 1 FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid WHERE t.tgrelid = c.oid AND p.proname = 'refuse_change'
        ) AS only_grows
        FROM pg_class c
        WHERE c.relnamespace = home::regnamespace AND c.relkind IN ('r', 'p', 'v', 'S')
    LOOP
        IF item.relkind = 'S' THEN
            EXECUTE format('GRANT USAGE, SELECT ON SEQUENCE %I.%I TO spillway_app', home, item.relname);
            CONTINUE;
        END IF;
        rights := CASE
            WHEN item.relkind = 'v' OR item.relname IN ('installation', 'goose_db_version') THEN 'SELECT'
            -- What was set aside is a person's to clear away.
            WHEN item.only_grows OR item.relname IN ('conflicts', 'quarantine') THEN 'SELECT, INSERT'
            -- A slot, a payment or the end of a chain is never un-made.
            WHEN item.relname IN ('slots', 'slot_terms', 'slot_leases', 'payments', 'attempts', 'refunds', 'disputes', 'chain_heads') THEN 'SELECT, INSERT, UPDATE'
            ELSE 'SELECT, INSERT, UPDATE, DELETE'
        END;
        EXECUTE format('REVOKE ALL ON TABLE %I.%I FROM spillway_app', home, item.relname);
        EXECUTE format('GRANT %s ON TABLE %I.%I TO spillway_app', rights, home, item.relname);
    END LOOP;
    RETURN true;
END $$;
-- +goose StatementEnd

SELECT grant_app();
