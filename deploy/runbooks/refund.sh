#!/usr/bin/env bash
# Gives a donation's money back and holds the books against the processor. The same again
# is done once.
#
#     DONATION=0197f1a0-... ACTOR=ann REASON='given twice by mistake' ./refund.sh
#
#   DONATION  its ID: in the address of the donor's page
#   ACTOR, REASON   stand in the books for ever: no personal data
#   AMOUNT    such as 12.50; without it all that is left
#   SPILLWAY_NATS_URL and SPILLWAY_DATABASE_URL, or SPILLWAY_DATA of `spillway up`; for the
#             comparison SPILLWAY_STRIPE_KEY or SPILLWAY_SIMULATOR
set -euo pipefail
if [[ "${1:-}" == --help ]]; then sed -n '2,/^set -/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" && exit; fi
: "${DONATION:?its ID}" "${ACTOR:?who asks}" "${REASON:?why}"

say() { printf '\n# %s\n' "$*"; }
step() { printf '$ %s\n' "$*"; eval "$*"; }

say "1. The money goes back."
step "spillway refund '$DONATION' ${AMOUNT:+--amount '$AMOUNT'} --actor '$ACTOR' --reason '$REASON'"

say "2. Journal and processor agree."
step "spillway reconcile"
