package postgres

import (
	"context"
	"fmt"
)

// Version is that of the database server, as it names itself: "17.2 (Debian 17.2-1)".
func Version(ctx context.Context, url string) (version string, err error) {
	conn, err := connect(ctx, url)
	if err != nil {
		return "", fmt.Errorf("ledger database: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // it only read
	err = conn.QueryRow(ctx, "SELECT current_setting('server_version')").Scan(&version)
	return version, err
}
