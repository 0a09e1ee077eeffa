//go:build linux

package rig

import "context"

// StartUp starts `up` on the rig's data folder and waits until it takes money.
func (r *Rig) StartUp(ctx context.Context) error {
	if err := r.LaunchUp(); err != nil {
		return err
	}
	return r.Ready(ctx, RoleUp)
}

// LaunchUp starts `up` and waits for nothing.
func (r *Rig) LaunchUp() error {
	return r.start(RoleUp, r.programs.Spillway,
		append([]string{"up", "--data", r.DataDir, "--listen", r.address, "--ops-listen", r.opsAddress, "--admin-listen", "127.0.0.1:0",
			// At one address for all its lives: whoever watches finds it again.
			"--broker-listen", r.brokerAddress}, r.UpArgs...)...)
}

// StartRoles starts everything as processes of its own: a stock broker, Postgres,
// the schema, one front-end and as many ledgers as given; it returns when the
// front-end takes money.
func (r *Rig) StartRoles(ctx context.Context, ledgers int) error {
	if err := r.wireUp(ledgers); err != nil {
		return err
	}
	if err := r.createPostgres(ctx); err != nil {
		return err
	}
	if err := r.StartPostgres(ctx); err != nil {
		return err
	}
	if err := r.StartBroker(ctx); err != nil {
		return err
	}
	if err := r.tool(ctx, "secrets", "secrets", "--out", r.Secrets()); err != nil {
		return err
	}
	if err := r.tool(ctx, "migrate", "migrate", "--database-url", r.DatabaseURL()); err != nil {
		return err
	}
	for n := range ledgers {
		if err := r.StartLedger(ctx, n+1); err != nil {
			return err
		}
	}
	return r.StartIngest(ctx)
}

// StartIngest starts the front-end and waits until it takes money.
func (r *Rig) StartIngest(ctx context.Context) error {
	if err := r.startCommand(Command{Name: RoleIngest, Path: r.programs.Spillway, Args: []string{"ingest",
		"--listen", r.address, "--ops-listen", r.opsAddress,
		"--nats-url", r.brokerFor(RoleIngest), "--secrets", r.Secrets()}, Env: r.frontEndEnv(), Log: r.LogPath(RoleIngest)}); err != nil {
		return err
	}
	return r.Ready(ctx, RoleIngest)
}

// StartLedger starts the n-th ledger; it finds its own way to the broker and the
// database, so nothing is waited for.
func (r *Rig) StartLedger(_ context.Context, n int) error {
	return r.start(Ledger(n), r.programs.Spillway, append([]string{"ledger",
		"--nats-url", r.brokerFor(Ledger(n)), "--database-url", r.databaseFor(Ledger(n))}, r.replicas()...)...)
}

// Ready waits until a front-end, or `up`, takes money.
func (r *Rig) Ready(ctx context.Context, role string) error {
	return r.Until(ctx, role, "take money", func(ctx context.Context) error {
		_, err := Get(ctx, r.directURL()+"/readyz")
		if err == nil {
			// `up` takes money before it has written where everything is, and says so to
			// operators afterwards.
			_, err = Get(ctx, r.OpsURL()+"/readyz")
		}
		return err
	})
}

// Restart starts a role again after it was killed.
func (r *Rig) Restart(ctx context.Context, role string) error {
	if ours, err := r.restartOfCluster(ctx, role); ours {
		return err
	}
	switch role {
	case RoleUp:
		return r.StartUp(ctx)
	case RoleBroker:
		return r.StartBroker(ctx)
	case RolePostgres:
		return r.StartPostgres(ctx)
	case RoleIngest:
		return r.StartIngest(ctx)
	case RoleSimulator:
		return r.StartSimulator(ctx)
	}
	p, err := r.Process(role)
	if err != nil {
		return err
	}
	return r.start(role, p.Path, p.Args...)
}

// Verify runs the product's own check of the invariants from database and broker,
// the most thorough one.
func (r *Rig) Verify(ctx context.Context) error {
	return r.tool(ctx, "verify", append([]string{"verify", "--deep", "--rebuild", "--drained"}, r.Where()...)...)
}

// Where tells a tool where database and broker are.
func (r *Rig) Where() []string {
	if r.Private() {
		return []string{"--data", r.DataDir}
	}
	at := r.BrokerURL()
	if r.cluster != nil {
		at = r.clusterURL("operator")
	}
	return []string{"--nats-url", at, "--database-url", r.DatabaseURL()}
}

// Private tells whether everything runs in `up`.
func (r *Rig) Private() bool {
	_, err := r.Process(RoleUp)
	return err == nil
}
