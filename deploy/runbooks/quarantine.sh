#!/usr/bin/env bash
# Lists what was set aside, and why. Changes nothing. Personal fields of a payload are sealed,
# and it is not shown.
#
#   SPILLWAY_NATS_URL and SPILLWAY_DATABASE_URL
set -euo pipefail
if [[ "${1:-}" == --help ]]; then sed -n '2,/^set -/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" && exit; fi
: "${SPILLWAY_DATABASE_URL:?as the roles have it}"

say() { printf '\n# %s\n' "$*"; }
step() { printf '$ %s\n' "$*"; eval "$*" || status=$?; }
status=0

say "1. What does not hold."
step "spillway verify | grep -v '  holds  '"
say "2. Each record that was set aside."
step "psql \"\$SPILLWAY_DATABASE_URL\" --no-psqlrc --command 'SELECT stream, sequence, record_index, reason, detail, stored_at FROM spillway.quarantine ORDER BY stored_at'"
exit "$status"
