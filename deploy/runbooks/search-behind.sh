#!/usr/bin/env bash
# How old the console's lists are, and why; with REBUILD=yes they are made anew.
#
#   OPS    consoles' operators' listeners (http://127.0.0.1:8081)
#   REBUILD=yes   rows are wrong, not old: throw them away; what organisers have hidden stays hidden
#   SPILLWAY_DATABASE_URL, or SPILLWAY_DATA of `spillway up`
set -euo pipefail
if [[ "${1:-}" == --help ]]; then sed -n '2,/^set -/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" && exit; fi

say() { printf '\n# %s\n' "$*"; }
step() { printf '$ %s\n' "$*"; eval "$*"; }

say "1. What it says of itself."
"$(dirname "${BASH_SOURCE[0]}")/look.sh" search-behind
step "spillway search status"
if [[ "${REBUILD:-}" == yes ]]; then
    say "2. It is made anew."
    step "spillway search rebuild --yes"
    for ((n = 0; n < 150; n++)); do
        if spillway search status >search.txt 2>&1 && ! grep -q 'being made' search.txt; then break; fi
        sleep 2
    done
    step "cat search.txt"
fi
