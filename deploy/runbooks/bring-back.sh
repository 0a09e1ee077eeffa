#!/usr/bin/env bash
# Brings back what is gone: looks, starts it, waits until every process is ready again and
# nothing waits, and verifies the books. It may be run again after an error.
#
#     START='systemctl start spillway-ledger@01' ./bring-back.sh consumer-lag
#
#   START  command that starts what is gone: a front-end, a ledger, Postgres, a broker
#   LOOK   what else to look at, such as 'df -h /var/lib/nats'
#   OPS    operators' listeners of all processes, separated by blanks (http://127.0.0.1:8081)
#   SPILLWAY_DATABASE_URL, SPILLWAY_NATS_URL, or SPILLWAY_DATA of `spillway up`
set -euo pipefail
if [[ "${1:-}" == --help ]]; then sed -n '2,/^set -/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" && exit; fi
page=${1:?which page, such as consumer-lag}
: "${START:?command that starts what is gone}"
OPS=${OPS:-http://127.0.0.1:8081}

say() { printf '\n# %s\n' "$*"; }
step() { printf '$ %s\n' "$*"; eval "$*"; }
# patiently COMMAND: until it succeeds, five minutes at most.
patiently() {
    printf '$ %s\n' "$*"
    for ((n = 0; ; n++)); do
        if said=$(eval "$*" 2>&1); then break; fi
        if ((n == 150)); then printf '%s\n' "$said" && return 1; fi
        sleep 2
    done
    printf '%s\n' "$said" | tail -n 3
}

say "1. What is there now."
"$(dirname "${BASH_SOURCE[0]}")/look.sh" "$page"
if [[ -n "${LOOK:-}" ]]; then
    step "$LOOK"
fi

say "2. It is started."
step "$START"

say "3. Every process is ready."
for ops in $OPS; do
    patiently "curl --silent --fail --max-time 5 --output /dev/null --write-out '%{http_code}\n' $ops/readyz"
done

say "4. Nothing waits, and what was accepted is in the books."
patiently "spillway verify --drained"
