#!/bin/sh
# Makes what compose.yaml keeps secret, once: what is there already stays. The two that
# are Stripe's are asked for; nothing is printed.
set -eu
cd "$(dirname "$0")"
umask 077
mkdir -p secrets
random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }
new() { if [ ! -s "secrets/$1" ]; then cat >"secrets/$1"; else cat >/dev/null; fi; }

if ! grep -qs '^SPILLWAY_BROKER_PASSWORD=' .env; then
    [ -e .env ] || { echo "first: cp env.example .env" >&2; exit 1; }
    printf 'SPILLWAY_BROKER_PASSWORD=%s\n' "$(random)" >>.env
fi
broker=$(sed -n 's/^SPILLWAY_BROKER_PASSWORD=//p' .env)
printf 'nats://spillway:%s@broker:4222\n' "$broker" | new nats-url
random | new database-password
printf 'postgres://spillway:%s@database:5432/spillway\n' "$(cat secrets/database-password)" | new database-url
if [ ! -s secrets/spillway.json ]; then
    docker run --rm "spillway:${SPILLWAY_VERSION:-local}" secrets >secrets/spillway.json
fi
ask() {
    [ -s "secrets/$1" ] && return
    printf '%s: ' "$2" >&2
    stty -echo 2>/dev/null || true
    read -r answer
    stty echo 2>/dev/null || true
    echo >&2
    printf '%s\n' "$answer" >"secrets/$1"
}
ask stripe-key "Stripe's secret key (sk_... or rk_...)"
ask webhook-secrets "signing secret of the webhook endpoint (whsec_...)"
# Containers are nobody (65532): they may read these, other users of this machine not.
chown -R 65532:65532 secrets 2>/dev/null || echo "run this as root, or let user 65532 read the folder secrets" >&2
echo "secrets/ is complete" >&2
