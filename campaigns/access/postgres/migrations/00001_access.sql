-- Who may use the organiser's console, and what was done there.

-- +goose Up

-- Somebody who signs in. Nobody is removed: the audit log names them for ever.
CREATE TABLE users (
    created_at  timestamptz NOT NULL DEFAULT now(),
    seen_at     timestamptz,             -- last login
    disabled_at timestamptz,             -- may not sign in since
    totp_step   bigint NOT NULL DEFAULT 0, -- last half minute whose code was used: no code works twice
    id          text NOT NULL,
    email       text NOT NULL,           -- canonical, see access.CanonicalEmail
    role        text NOT NULL,
    campaigns   text[],                  -- bound to these; null for all
    password    text,                    -- PHC string; null until a one-time link was opened
    totp        bytea,                   -- second factor's secret, sealed to the user's id; null for none
    CONSTRAINT users_pkey PRIMARY KEY (id),
    CONSTRAINT users_email_once UNIQUE (email),
    CONSTRAINT users_id_valid CHECK (id ~ '^[0-9a-f]{32}$'),
    CONSTRAINT users_role_known CHECK (role IN ('owner', 'organiser', 'finance', 'viewer')),
    CONSTRAINT users_email_given CHECK (email <> '' AND email = lower(email)),
    CONSTRAINT users_owner_has_all CHECK (role <> 'owner' OR campaigns IS NULL)
);

-- What a user gets in with when the phone is gone; each works once.
CREATE TABLE recovery_codes (
    user_id text NOT NULL,
    sum     bytea NOT NULL,
    CONSTRAINT recovery_codes_pkey PRIMARY KEY (user_id, sum),
    CONSTRAINT recovery_codes_user_fkey FOREIGN KEY (user_id) REFERENCES users (id)
);

-- Signed-in browsers, and those that have shown a password and owe a second factor.
CREATE TABLE sessions (
    created_at timestamptz NOT NULL,
    seen_at    timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    failures   integer NOT NULL DEFAULT 0, -- wrong codes of a pending one
    pending    boolean NOT NULL,           -- opens nothing but the question for the second factor
    id         text NOT NULL,              -- shown to its user
    user_id    text NOT NULL,
    network    text NOT NULL,
    agent      text NOT NULL,
    sum        bytea NOT NULL,             -- SHA-256 of the token
    CONSTRAINT sessions_pkey PRIMARY KEY (sum),
    CONSTRAINT sessions_id_once UNIQUE (id),
    CONSTRAINT sessions_user_fkey FOREIGN KEY (user_id) REFERENCES users (id)
);

-- A user's sessions are listed and ended together.
CREATE INDEX sessions_by_user ON sessions (user_id);

-- Browsers in which a user has signed in before: guesses made elsewhere do not keep
-- them out.
CREATE TABLE devices (
    seen_at timestamptz NOT NULL,
    user_id text NOT NULL,
    sum     bytea NOT NULL, -- SHA-256 of the token
    CONSTRAINT devices_pkey PRIMARY KEY (sum, user_id),
    CONSTRAINT devices_user_fkey FOREIGN KEY (user_id) REFERENCES users (id)
);

-- One-time links: a user's, to set a password, or, without a user, the first owner's.
CREATE TABLE links (
    expires_at timestamptz NOT NULL,
    user_id    text,
    sum        bytea NOT NULL, -- SHA-256 of the token
    CONSTRAINT links_pkey PRIMARY KEY (sum),
    CONSTRAINT links_user_fkey FOREIGN KEY (user_id) REFERENCES users (id)
);

-- API keys. A revoked one stays, because the audit log names it.
CREATE TABLE keys (
    created_at timestamptz NOT NULL,
    expires_at timestamptz,
    revoked_at timestamptz,
    used_at    timestamptz,
    id         text NOT NULL,
    name       text NOT NULL,
    created_by text NOT NULL, -- e-mail address
    scopes     text[] NOT NULL,
    campaigns  text[],        -- bound to these; null for all
    sum        bytea NOT NULL, -- SHA-256 of the secret
    CONSTRAINT keys_pkey PRIMARY KEY (id),
    CONSTRAINT keys_name_given CHECK (name <> '')
);

-- Every change that was made by way of the console, and every login. It only grows.
CREATE TABLE audit (
    id      bigint GENERATED ALWAYS AS IDENTITY,
    at      timestamptz NOT NULL DEFAULT now(), -- of the database: the log is in its order
    actor   text NOT NULL,
    name    text NOT NULL,
    network text NOT NULL,
    action  text NOT NULL,
    subject text NOT NULL,
    detail  text NOT NULL,
    CONSTRAINT audit_pkey PRIMARY KEY (id)
);

-- "What was done to this", "what did this person do", newest first.
CREATE INDEX audit_by_subject ON audit (subject, id);
CREATE INDEX audit_by_name ON audit (name, id);

-- +goose StatementBegin
CREATE FUNCTION audit_only_grows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log only grows' USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'audit_only_grows';
END
$$;
-- +goose StatementEnd

CREATE TRIGGER audit_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION audit_only_grows();
