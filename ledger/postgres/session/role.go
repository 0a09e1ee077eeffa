package session

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// AppRole is the group role that the roles of the binary work under. The migrations
// make it where they may, and give it no right to change what only grows.
const AppRole = "spillway_app"

// takeRoleSQL makes the session work under AppRole if there is such a role and the
// login may take it; a login without that right keeps its own, whatever those are.
// From version 16 on a membership may come without the right to take the role.
const takeRoleSQL = `SELECT set_config('role', rolname, false) FROM pg_roles
WHERE rolname = '` + AppRole + `'
  AND pg_has_role(session_user, oid, CASE WHEN current_setting('server_version_num')::int >= 160000 THEN 'SET' ELSE 'MEMBER' END)`

// TakeRole makes a connection work under AppRole where its login may, for pools that are
// not made by Pool.
func TakeRole(ctx context.Context, conn *pgx.Conn) error {
	if _, err := conn.Exec(ctx, takeRoleSQL); err != nil {
		return fmt.Errorf("take the role %s: %w", AppRole, err)
	}
	return nil
}
