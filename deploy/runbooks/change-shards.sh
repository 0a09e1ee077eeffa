#!/usr/bin/env bash
# Streams for more shards beside those that are there, while donations go on.
#
#     SPILLWAY_NATS_URL=nats://operator:password@broker-1:4222,nats://operator:password@broker-2:4222 ./change-shards.sh 3
set -euo pipefail
if [[ "${1:-}" == --help ]]; then sed -n '2,/^set -/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" && exit; fi
shards=${1:?how many shards, more than there are}
: "${SPILLWAY_NATS_URL:?the brokers, with the credentials of an operator}"

echo "== before"
spillway broker layout
echo "== make the streams"
spillway broker layout --shards "$shards"
