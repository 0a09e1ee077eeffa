#!/usr/bin/env bash
# Takes a base backup of the database and checks it. Run it every hour, as the user that
# the database runs as or one that may replicate, and copy it to another place.
#
#   PRIMARY   connection string of the server that takes writes, of a login with REPLICATION
#   BACKUP    new folder for this backup
#   TRIM      yes: then the streams let go of what this backup holds and is old enough
#             (spillway broker trim; SPILLWAY_DATABASE_URL and SPILLWAY_NATS_URL)
#
# The broker's streams are the other half: they keep what was accepted since. A backup is
# only as good as the streams are long; see restore-from-backup.md.
set -euo pipefail
if [[ "${1:-}" == --help ]]; then sed -n '2,/^set -/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" && exit; fi
: "${PRIMARY:?connection string of the primary}" "${BACKUP:?new folder for the backup}"

step() { printf '$ %s\n' "$*"; "$@"; }

began=$(date -u +%Y-%m-%dT%H:%M:%SZ)
step pg_basebackup --dbname "$PRIMARY" --pgdata "$BACKUP" --wal-method stream --checkpoint fast --no-password
step pg_verifybackup --quiet "$BACKUP"
if [[ "${TRIM:-}" == yes ]]; then
    step spillway broker trim --backed-up-at "$began"
fi
echo "backed up to $BACKUP"
