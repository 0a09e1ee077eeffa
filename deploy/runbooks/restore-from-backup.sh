#!/usr/bin/env bash
# Restores the database from a base backup, and has the broker replay what it lacks. The
# commands of restore-from-backup.md, in order; it stops at the first that fails, and may
# be started again from the top.
#
#   SPILLWAY_DATABASE_URL, SPILLWAY_NATS_URL   as the roles have them; the login owns the tables
#   BACKUP    the base backup, a folder (back-up.sh)
#   PGDATA    the server's data folder; what is there is kept beside it
#
# How servers and roles are stopped and started, where systemd does not:
#   STOP_ROLES, START_ROLES         ledgers, payments and consoles; never front-ends
#   STOP_POSTGRES, START_POSTGRES   the latter returns when connections are taken
set -euo pipefail
if [[ "${1:-}" == --help ]]; then sed -n '2,/^set -/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" && exit; fi
: "${SPILLWAY_DATABASE_URL:?as the roles have it}" "${SPILLWAY_NATS_URL:?as the roles have it}"
: "${BACKUP:?folder of the base backup}" "${PGDATA:?data folder of the server}"
STOP_ROLES=${STOP_ROLES:-"systemctl stop 'spillway-ledger@*' 'spillway-payments@*' spillway-admin"}
START_ROLES=${START_ROLES:-"systemctl start --all 'spillway-ledger@*' 'spillway-payments@*' spillway-admin"}
STOP_POSTGRES=${STOP_POSTGRES:-"systemctl stop postgresql"}
START_POSTGRES=${START_POSTGRES:-"systemctl start postgresql"}
export SPILLWAY_DATABASE_URL SPILLWAY_NATS_URL

say() { printf '\n# %s\n' "$*"; }
step() { printf '$ %s\n' "$*"; eval "$*"; }

say "1. Nobody works on the database. Front-ends go on: donors give as before."
step "$STOP_ROLES"
step "$STOP_POSTGRES"

say "2. The backup takes the place of the data. Nothing is thrown away."
if [[ -e "$PGDATA" ]]; then
    step "mv '$PGDATA' '$PGDATA.lost.$(date -u +%Y%m%dT%H%M%SZ)'"
fi
step "cp -a '$BACKUP' '$PGDATA'"
step "$START_POSTGRES"

say "3. What it lacks is replayed, and nobody is charged again."
step "spillway restore --dry-run"
step "spillway restore"

say "4. The roles work it off. Open pages show what they showed until that is done."
step "$START_ROLES"

say "5. Nothing waits, and everything that was accepted is there."
for ((n = 0; ; n++)); do
    if spillway verify --deep --rebuild --drained >verify.txt 2>&1; then break; fi
    if ((n == 60)); then cat verify.txt && exit 1; fi
    sleep 10
done
step "tail -n 3 verify.txt"
