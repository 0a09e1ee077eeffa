#!/usr/bin/env bash
# Takes a base backup of the database and checks it. Run it every hour, as the user that
# the database runs as or one that may replicate, and copy it to another place.
#
#   PRIMARY   connection string of the server that takes writes, of a login with REPLICATION
#   BACKUP    new folder for this backup
#
# The broker's streams are the other half: they keep what was accepted since. A backup is
# only as good as the streams are long; see restore-from-backup.md.
set -euo pipefail
if [[ "${1:-}" == --help ]]; then sed -n '2,/^set -/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" && exit; fi
: "${PRIMARY:?connection string of the primary}" "${BACKUP:?new folder for the backup}"

step() { printf '$ %s\n' "$*"; "$@"; }

step pg_basebackup --dbname "$PRIMARY" --pgdata "$BACKUP" --wal-method stream --checkpoint fast --no-password
step pg_verifybackup --quiet "$BACKUP"
echo "backed up to $BACKUP"
