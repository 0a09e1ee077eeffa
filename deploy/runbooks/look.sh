#!/usr/bin/env bash
# Shows what a runbook says to look at: whether each process is ready, and every figure
# that its page names. Changes nothing.
#
#     ./look.sh consumer-lag
#
#   OPS    operators' listeners, http://host:port, separated by blanks (http://127.0.0.1:8081)
set -euo pipefail
if [[ "${1:-}" == --help ]]; then sed -n '2,/^set -/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" && exit; fi
page="$(dirname "${BASH_SOURCE[0]}")/${1:?which page, such as consumer-lag}.md"
OPS=${OPS:-http://127.0.0.1:8081}

say() { printf '\n# %s\n' "$*"; }
step() { printf '$ %s\n' "$*"; eval "$*"; }

figures=$({ grep -oE '\b(ingest|ledger|totals|live|charge|payments|reconcile|search)_[a-z_]*[a-z]\b' "$page" || true; } | sort -u | paste -sd '|')
for ops in $OPS; do
    say "$ops"
    # A process that is gone, or not ready, is what is looked for: no end of this script.
    step "curl --silent --show-error --max-time 5 $ops/readyz || true"
    echo
    if [[ -n "$figures" ]]; then
        step "curl --silent --max-time 5 $ops/metrics | grep -E '^($figures)' | grep -vE '_bucket|book=\"rehearsal\"' || true"
    fi
done
