#!/usr/bin/env bash
# The primary is lost: promotes its standby. The commands of postgres-lost.md, in order.
#
#   STANDBY   connection string of the standby, of a login that may promote it
#   SPILLWAY_DATABASE_URL, SPILLWAY_NATS_URL   as the roles have them: both hosts, and
#             target_session_attrs=read-write
#   SYNCHRONOUS=no   it may lack the last commits: they are replayed, for which STOP_ROLES
#             and START_ROLES stop and start ledgers, payments and consoles
#
# Make sure first that the old primary is gone for good: two primaries are two books.
set -euo pipefail
if [[ "${1:-}" == --help ]]; then sed -n '2,/^set -/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" && exit; fi
: "${STANDBY:?connection string of the standby}" "${SPILLWAY_DATABASE_URL:?as the roles have it}" "${SPILLWAY_NATS_URL:?as the roles have it}"
SYNCHRONOUS=${SYNCHRONOUS:-yes}
STOP_ROLES=${STOP_ROLES:-"systemctl stop 'spillway-ledger@*' 'spillway-payments@*' spillway-admin"}
START_ROLES=${START_ROLES:-"systemctl start --all 'spillway-ledger@*' 'spillway-payments@*' spillway-admin"}
export SPILLWAY_DATABASE_URL SPILLWAY_NATS_URL

say() { printf '\n# %s\n' "$*"; }
step() { printf '$ %s\n' "$*"; eval "$*"; }

if [[ "$SYNCHRONOUS" != yes ]]; then
    say "0. It may lack the last commits: nobody works on it before they are replayed."
    step "$STOP_ROLES"
fi

say "1. The standby takes over."
step "psql '$STANDBY' --no-psqlrc --tuples-only --command 'SELECT pg_is_in_recovery()'"
step "psql '$STANDBY' --no-psqlrc --tuples-only --command 'SELECT pg_promote()'"

if [[ "$SYNCHRONOUS" != yes ]]; then
    say "2. What it lacks is replayed, and nobody is charged again."
    step "spillway restore --dry-run"
    step "spillway restore"
    step "$START_ROLES"
else
    say "2. It has every commit that was answered. The roles find it by themselves."
fi

say "3. Nothing waits, and everything that was accepted is there."
for ((n = 0; ; n++)); do
    if spillway verify --deep --rebuild --drained >verify.txt 2>&1; then break; fi
    if ((n == 60)); then cat verify.txt && exit 1; fi
    sleep 10
done
step "tail -n 3 verify.txt"
