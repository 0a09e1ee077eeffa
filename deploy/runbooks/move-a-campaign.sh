#!/usr/bin/env bash
# Moves campaigns between an older system and Spillway, and shows what a new donor sees.
#
#     SLUGS=river-school TO=spillway ./move-a-campaign.sh
#
#   SLUGS    campaigns, separated by blanks
#   TO       spillway or old
#   TARGET   a front-end itself (http://127.0.0.1:8080)
#   PUBLIC   what donors reach, such as https://give.example.org: shown at the end when given
#   PAGE     older page of one campaign that links.map does not have
#   SPILLWAY_MAPS, SPILLWAY_SOCKET   the maps' folder and the proxies' sockets, where they are not the usual ones
set -euo pipefail
if [[ "${1:-}" == --help ]]; then sed -n '2,/^set -/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" && exit; fi
: "${SLUGS:?such as river-school}" "${TO:?spillway or old}"
TARGET=${TARGET:-http://127.0.0.1:8080} page=""
if [[ -n "${PAGE:-}" ]]; then page=" --page '$PAGE'"; fi

say() { printf '\n# %s\n' "$*"; }
step() { printf '$ %s\n' "$*"; eval "$*"; }

say "1. Files and proxies agree."
step "spillway route check"
say "2. What would be done."
step "spillway route switch $SLUGS --to $TO$page --target $TARGET --dry-run"
say "3. It is done."
step "spillway route switch $SLUGS --to $TO$page --target $TARGET"
say "4. Files, proxies and Spillway agree."
step "spillway route check --target $TARGET"
if [[ -n "${PUBLIC:-}" ]]; then
    say "5. Where a new donor is led, by Spillway's page and by the older one."
    for slug in $SLUGS; do
        old=$(spillway route list | awk -v slug="$slug" '$1 == slug { print $3 }')
        for path in "/c/$slug" $old; do
            step "curl --silent --show-error --output /dev/null --write-out '%{http_code} %{redirect_url}\n' '$PUBLIC$path'"
        done
    done
fi
