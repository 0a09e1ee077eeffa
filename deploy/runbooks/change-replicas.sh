#!/usr/bin/env bash
# Three copies of every stream in place of one, while donations go on.
#
#     SPILLWAY_NATS_URL=nats://operator:password@broker-1:4222,nats://operator:password@broker-2:4222 ./change-replicas.sh 3
set -euo pipefail
if [[ "${1:-}" == --help ]]; then sed -n '2,/^set -/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" && exit; fi
copies=${1:?how many copies: 1, 3 or 5}
: "${SPILLWAY_NATS_URL:?the brokers, with the credentials of an operator}"

echo "== before"
spillway broker layout
echo "== change, one stream after the other"
spillway broker layout --replicas "$copies"
echo "== every stream has its copies"
