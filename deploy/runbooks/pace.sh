#!/usr/bin/env bash
# Looks at charging and changes its pace, in all payments processes at once. Donations are
# taken all the same.
#
#     ./pace.sh                 # looks
#     PACE=100 ./pace.sh        # so many calls a second: what the processor has granted
#     PACE=pause ./pace.sh
#     PACE=resume ./pace.sh
#
#   PACE   a number, pause or resume; nothing is changed without it
#   SPILLWAY_DATABASE_URL, or SPILLWAY_DATA of `spillway up`
set -euo pipefail
if [[ "${1:-}" == --help ]]; then sed -n '2,/^set -/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" && exit; fi

say() { printf '\n# %s\n' "$*"; }
step() { printf '$ %s\n' "$*"; eval "$*"; }

say "How it is."
step "spillway payments pace status"
case "${PACE:-}" in
"") exit ;;
pause | resume)
    say "It is to $PACE."
    step "spillway payments pace $PACE"
    ;;
*)
    say "It is to be $PACE a second."
    step "spillway payments pace --rate '$PACE'"
    ;;
esac
step "spillway payments pace status"
