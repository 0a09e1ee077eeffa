#!/usr/bin/env bash
# What alarms were raised, for which donations, and whether the books hold. Changes nothing but,
# where it is told to, pauses charging.
#
#   LOGS    payments processes' logs, files; journalctl -u 'spillway-payments@*' writes one
#   OPS     payments processes' operators' listeners (http://127.0.0.1:8081)
#   PAUSE=yes   it goes on happening: charge nobody until `PACE=resume ./pace.sh`
#   SPILLWAY_NATS_URL and SPILLWAY_DATABASE_URL, or SPILLWAY_DATA of `spillway up`
set -euo pipefail
if [[ "${1:-}" == --help ]]; then sed -n '2,/^set -/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" && exit; fi
: "${LOGS:?the logs of payments}"

say() { printf '\n# %s\n' "$*"; }
step() { printf '$ %s\n' "$*"; eval "$*"; }

if [[ "${PAUSE:-}" == yes ]]; then
    say "0. Nobody is charged meanwhile."
    step "spillway payments pace pause"
fi
say "1. How often, and for whom."
"$(dirname "${BASH_SOURCE[0]}")/look.sh" second-charge
step "grep -h 'a person must look' $LOGS || echo 'no alarm in these logs'"
say "2. The books hold."
step "spillway verify --deep | grep -v '  holds  '"
