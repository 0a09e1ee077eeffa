#!/usr/bin/env bash
# Holds journal and processor against each other, and the books against the streams. Changes
# nothing; ends with 1 when something differs.
#
#   SINCE, ZONE   the day, 2026-11-22, and its time zone, America/New_York (the last day, UTC)
#   GRACE         what is younger may still be on its way (5m)
#   SPILLWAY_NATS_URL and SPILLWAY_DATABASE_URL, or SPILLWAY_DATA of `spillway up`;
#                 SPILLWAY_STRIPE_KEY or SPILLWAY_SIMULATOR
set -euo pipefail
if [[ "${1:-}" == --help ]]; then sed -n '2,/^set -/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" && exit; fi
SINCE=${SINCE:-$(date -u -d yesterday +%F)} ZONE=${ZONE:-UTC} GRACE=${GRACE:-5m}

say() { printf '\n# %s\n' "$*"; }
step() { printf '$ %s\n' "$*"; eval "$*" || status=$?; }
status=0

say "1. Every charge, fee, refund, dispute and payout, both ways."
step "spillway reconcile --since '$SINCE' --zone '$ZONE' --grace '$GRACE'"
say "2. Nobody wrote into the journal behind our back."
step "spillway verify --deep | grep -v '  holds  '"
exit "$status"
