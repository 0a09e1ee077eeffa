#!/usr/bin/env bash
# Before the day: schema, readiness, a rehearsal at twice the rate that is expected, and the
# books. The rehearsal has campaigns, streams and tables of its own.
#
#   TARGET, RATE, FOR   what donors will reach, gifts/s, how long (10m)
#   OPS      operators' listeners of all processes (http://127.0.0.1:8081)
#   SPILLWAY_NATS_URL, SPILLWAY_DATABASE_URL (the owner's: it migrates), SPILLWAY_SECRETS
#   REHEARSE further flags, such as --charging off
set -euo pipefail
if [[ "${1:-}" == --help ]]; then sed -n '2,/^set -/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" && exit; fi
: "${TARGET:?such as https://give.example.org}" "${RATE:?gifts a second: twice what is expected}"
OPS=${OPS:-http://127.0.0.1:8081} FOR=${FOR:-10m}

say() { printf '\n# %s\n' "$*"; }
step() { printf '$ %s\n' "$*"; eval "$*"; }

say "1. The schema."
step "spillway migrate"
say "2. Every process is ready."
for ops in $OPS; do
    step "curl --silent --show-error --fail --max-time 5 --output /dev/null --write-out '%{http_code}\n' $ops/readyz"
done
say "3. The rehearsal. Its exit status is the proof."
step "spillway rehearse --target '$TARGET' --rate '$RATE' --for '$FOR' ${REHEARSE:-} >rehearsal.txt 2>&1 || { cat rehearsal.txt; exit 1; }"
step "tail -n 12 rehearsal.txt"
say "4. The books."
step "spillway verify --deep --rebuild | grep -v '  holds  '"
