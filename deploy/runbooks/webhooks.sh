#!/usr/bin/env bash
# Why the processor's events are refused; with NEW, the signing secret is rolled without losing
# one: every front-end knows both, and restarts alone.
#
#   OPS     front-ends' operators' listeners, in the order of RESTART (http://127.0.0.1:8081)
#   LOGS    front-ends' logs, files
#   NEW     file with the new secret (whsec_...); nothing is changed without it
#   SECRETS file that SPILLWAY_STRIPE_WEBHOOK_SECRETS_FILE names
#   RESTART command that restarts a front-end; %n is its number, from 1 (systemctl restart spillway-ingest@0%n)
set -euo pipefail
if [[ "${1:-}" == --help ]]; then sed -n '2,/^set -/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" && exit; fi
OPS=${OPS:-http://127.0.0.1:8081} RESTART=${RESTART:-systemctl restart spillway-ingest@0%n}

say() { printf '\n# %s\n' "$*"; }
step() { printf '$ %s\n' "$*"; eval "$*"; }

say "1. How many, and why."
"$(dirname "${BASH_SOURCE[0]}")/look.sh" webhooks
step "grep -hE 'webhook (refused|not stored)' ${LOGS:-/dev/null} | tail -n 5 || true"
[[ -n "${NEW:-}" ]] || exit 0

say "2. Both secrets, the new one first. Neither is printed."
umask 077
printf '%s,%s\n' "$(<"$NEW")" "$(<"${SECRETS:?the file that front-ends read}")" >"$SECRETS.next"
step "mv '$SECRETS.next' '$SECRETS'"
n=0
for ops in $OPS; do
    n=$((n + 1))
    say "3. Front-end $n restarts, and is ready before the next one does."
    step "${RESTART//%n/$n}"
    for ((tries = 0; ; tries++)); do
        if curl --silent --fail --max-time 5 --output /dev/null "$ops/readyz"; then break; fi
        if ((tries == 150)); then exit 1; fi
        sleep 2
    done
    echo "ready"
done
echo "A day later take the old one away in the same manner."
