#!/usr/bin/env bash
# How full each stream is, and the disk below. With TRIM streams let go of what is recorded,
# backed up and old; with STREAM and BYTES one gets more room, and what is stored stays.
#
#   SPILLWAY_NATS_URL   the brokers, with the credentials of an operator
#   TRIM     what is old: '--backed-up-at 2026-11-23T02:00:00Z', or '--no-backups'; then
#            SPILLWAY_DATABASE_URL is needed too
#   STORE    the broker's store_dir, where this machine has it
#   STREAM, BYTES   such as DONATIONS_0 and 100GB; by the `nats` tool, which has to be installed
#   OPS      front-ends' operators' listeners (http://127.0.0.1:8081)
set -euo pipefail
if [[ "${1:-}" == --help ]]; then sed -n '2,/^set -/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" && exit; fi
: "${SPILLWAY_NATS_URL:?with the credentials of an operator}"

say() { printf '\n# %s\n' "$*"; }
step() { printf '$ %s\n' "$*"; eval "$*"; }

say "1. How full, and for how long."
"$(dirname "${BASH_SOURCE[0]}")/look.sh" stream-nearly-full
step "spillway broker layout"
if [[ -n "${STORE:-}" ]]; then
    step "df -h '$STORE'"
fi
if [[ -n "${TRIM:-}" ]]; then
    say "2. What is recorded, backed up and old goes."
    step "spillway broker trim --dry-run $TRIM"
    step "spillway broker trim $TRIM"
    step "spillway broker layout"
fi
if [[ -n "${STREAM:-}" ]]; then
    say "3. More room."
    step "nats --server \"\$SPILLWAY_NATS_URL\" stream edit '$STREAM' --max-bytes '${BYTES:?such as 100GB}' --force"
    step "spillway broker layout"
fi
