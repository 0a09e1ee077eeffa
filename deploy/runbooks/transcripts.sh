#!/usr/bin/env bash
# Carries out every runbook's script as it is written, each in the situation that it is for, on a
# private installation of processes that it starts and breaks, and keeps what was said beside
# the page: X.txt. Minutes; as root or as an ordinary user. (postgres-lost, restore-from-backup: go test ./loadtest/chaos
# -chaos -run TestRunbook -results DIR. change-replicas, change-shards: go test ./ingest/broker -cluster.)
#
#     PATH=folder-of-spillway-and-nats-server:$PATH ./transcripts.sh [PAGE...]
#
#   INTO   folder of the transcripts (this one)
#   POSTGRES_BIN   initdb, postgres (the newest below /usr/lib/postgresql)
#   KEEP=yes   leave the installation's folder there
set -euo pipefail
if [[ "${1:-}" == --help ]]; then sed -n '2,/^set -/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" && exit; fi
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
INTO=${INTO:-$here} only=" $* "
POSTGRES_BIN=${POSTGRES_BIN:-$(dirname "$(find /usr/lib/postgresql -name initdb | sort -V | tail -n 1)")}
for program in spillway nats-server curl psql; do
    command -v "$program" >/dev/null || { echo "$program is not on the PATH" >&2 && exit 2; }
done

RIG=$(mktemp -d "${TMPDIR:-/tmp}/runbooks-XXXXXX")
chmod 755 "$RIG"
cd "$RIG"
mkdir pids logs s
as=()
if ((EUID == 0)); then
    chown postgres s && install -d -o postgres pg
    as=(setpriv --reuid=postgres --regid=postgres --clear-groups)
fi
export RIG POSTGRES_BIN SPILLWAY_LOG_FORMAT=json
export SPILLWAY_DATABASE_URL="postgres://spillway@/spillway?host=$RIG/s"
export FIRST_DATABASE_URL="postgres://spillway@/postgres?host=$RIG/s" # initdb's own
export SPILLWAY_NATS_URL=nats://spillway:rig@127.0.0.1:29198 SPILLWAY_BROKER_PASSWORD=rig
printf 'whsec_rig' >webhook-secrets

# hands is what systemctl is elsewhere: hands start|stop|kill|restart NAME.
cat >hands <<'HANDS'
#!/usr/bin/env bash
set -euo pipefail
cd "$RIG"
gone() { for ((i = 0; i < 600; i++)); do kill -0 "$1" 2>/dev/null || return 0; sleep 0.1; done; return 1; }
do=$1 name=$2 pid=$(cat "pids/$2" 2>/dev/null || true) n=${2##*-}
case $do in
stop) kill "$pid" && gone "$pid" ;;
kill) kill -9 "$pid" && gone "$pid" ;;
pause) kill -STOP "$pid" ;;
restart) kill -CONT "$pid" && { [[ $name == nats ]] && kill -9 "$pid" || kill "$pid"; } && gone "$pid" && exec "$0" start "$name" ;;
start)
    as=()
    case $name in
    nats) command=(nats-server -c nats-server.conf) ;;
    postgres) command=("$POSTGRES_BIN/postgres" -D "$RIG/pg" -c listen_addresses= -c "unix_socket_directories=$RIG/s")
        if ((EUID == 0)); then as=(setpriv --reuid=postgres --regid=postgres --clear-groups); fi ;;
    processor) command=(spillway stripesim --listen 127.0.0.1:29197 --data stripesim --limit-endpoint 100 --limit-account 400 --webhook-url http://127.0.0.1:29181/v1/webhooks/stripe --webhook-secret whsec_rig) ;;
    ingest-*) command=(env SPILLWAY_STRIPE_WEBHOOK_SECRETS_FILE="$RIG/webhook-secrets" spillway ingest --listen "127.0.0.1:2918$n" --ops-listen "127.0.0.1:2919$n" --secrets secrets.json) ;;
    ledger-*) command=(spillway ledger --ops-listen "127.0.0.1:2917$n") ;;
    payments-*) command=(spillway payments --ops-listen 127.0.0.1:29194 --simulator http://127.0.0.1:29197 --pace 100) ;;
    older) command=(haproxy -db -f older.cfg) ;;
    proxy) command=(env OLD_SYSTEM=127.0.0.1:29184 haproxy -db -f haproxy.cfg -f strangler.cfg) ;;
    console) command=(spillway admin --ops-listen 127.0.0.1:29195 --admin-listen 127.0.0.1:29196 --secrets secrets.json) ;;
    esac
    "${as[@]}" "${command[@]}" >>"logs/$name" 2>&1 </dev/null &
    echo $! >"pids/$name"
    if [[ $name == postgres ]]; then
        for ((i = 0; i < 300; i++)); do psql "$FIRST_DATABASE_URL" -qtc 'SELECT 1' >/dev/null 2>&1 && exit; sleep 0.1; done
        exit 1
    fi ;;
esac
HANDS
chmod +x hands
export PATH="$RIG:$PATH"

finish() {
    local status=$?
    for f in "$RIG"/pids/*; do kill -CONT "$(cat "$f")" 2>/dev/null || true; kill -9 "$(cat "$f")" 2>/dev/null || true; done
    sleep 1
    if ((status)); then echo "failed: the installation's logs are in $RIG" >&2; elif [[ "${KEEP:-}" != yes ]]; then rm -rf "$RIG"; fi
}
trap finish EXIT

wanted() { [[ "$only" == "  " || "$only" == *" $1 "* ]]; }
# carry PAGE [VAR=VALUE...] SCRIPT [ARGUMENT...]: runs a script and appends to the page's transcript.
carry() {
    local page=$1 status=0 shown="" a
    shift
    for a in "$@"; do if [[ $a == *=*[\ \;\$\|]* ]]; then shown+=" ${a%%=*}='${a#*=}'"; else shown+=" $a"; fi; done
    {
        printf '$%s\n' "$shown"
        (cd "$RIG" && PATH="$here:$PATH" env "$@") 2>&1 || status=$?
        printf '(status %d)\n\n' "$status"
    } | sed -e "s#$RIG#/srv#g" -e 's/[[:space:]]*$//' >>"$INTO/$page.txt"
    echo "$page:$shown"
}
begin() { wanted "$1" && : >"$INTO/$1.txt" && printf '# %s\n# %s, Spillway of this commit, PostgreSQL %s.\n\n' "$2" "$(date -u +%F)" "$("$POSTGRES_BIN/postgres" --version | grep -oE '[0-9]+\.[0-9]+' | head -1)" >>"$INTO/$1.txt"; }
until_said() { for ((i = 0; i < 600; i++)); do if eval "$1" >/dev/null 2>&1; then return; fi; sleep 0.1; done; echo "not within a minute: $1" >&2; return 1; }
gift() {
    curl --silent --max-time 10 http://127.0.0.1:29181/v1/donations -H 'Content-Type: application/json' -H "Idempotency-Key: $(date +%s%N)-runbook-gift" \
        -d '{"currency":"USD","lines":[{"campaign":"river-school","amount_minor":5000}],"payment":{"confirmation_token":"ctoken_card_visa"}}'
}
gifts() { for ((g = 0; g < $1; g++)); do gift >/dev/null || true; done; }
faults() { curl --silent --fail --output /dev/null http://127.0.0.1:29197/sim/faults -d "$1"; }

"${as[@]}" "$POSTGRES_BIN/initdb" -D "$RIG/pg" -U spillway --auth trust --data-checksums >logs/initdb
sed -e 's/listen: .*4222/listen: 127.0.0.1:29198/' -e 's/http: .*8222/http: 127.0.0.1:29199/' -e "s#/var/lib/nats#$RIG/nats#" -e 's/max_file: .*/max_file: 3GB/' "$here/../nats-server.conf" >nats-server.conf
hands start postgres
psql "$FIRST_DATABASE_URL" -qc 'CREATE DATABASE spillway'
hands start nats
spillway secrets --out secrets.json >/dev/null
spillway migrate >logs/migrate 2>&1
# The demonstration's campaigns are there for good after one start of `up`.
spillway up --demo --listen 127.0.0.1:29181 --ops-listen 127.0.0.1:29191 --admin-listen 127.0.0.1:29196 --secrets secrets.json --data "$RIG/up" >logs/up 2>&1 &
up=$!
echo "$up" >pids/up
until_said "curl -sf http://127.0.0.1:29191/readyz && curl -sf http://127.0.0.1:29181/v1/campaigns/river-school"
kill -INT "$up"
wait "$up" || true
rm pids/up
for role in processor ledger-1 payments-1 console ingest-1 ingest-2; do hands start "$role"; done
FRONT="http://127.0.0.1:29191 http://127.0.0.1:29192" LEDGER=http://127.0.0.1:29171 PAY=http://127.0.0.1:29194 CONSOLE=http://127.0.0.1:29195
ALL="$FRONT $LEDGER $PAY"
for ops in $ALL $CONSOLE; do until_said "curl -sf $ops/readyz"; done

if begin before-the-day "Two front-ends, a ledger, payments and a console, each a process"; then
    carry before-the-day TARGET=http://127.0.0.1:29181 RATE=50 FOR=10s "OPS=$ALL" SPILLWAY_SECRETS="$RIG/secrets.json" "REHEARSE=--charging off --html $RIG/rehearsal.html --record $RIG/rehearsal.record" before-the-day.sh
fi
gifts 20
until_said "spillway verify --drained"
if begin front-end-gone "A front-end was killed (kill -9)"; then
    hands kill ingest-2
    carry front-end-gone "START=hands start ingest-2" "OPS=$FRONT" bring-back.sh front-end-gone
fi
if begin not-ready "The broker was stopped"; then
    hands stop nats
    until_said "! curl -sf http://127.0.0.1:29191/readyz"
    carry not-ready "START=hands start nats" "OPS=$ALL" bring-back.sh not-ready
fi
if begin disk-full "The broker hangs (it was stopped with SIGSTOP, as a disk that does not answer does it), and donors give"; then
    hands pause nats
    gift >/dev/null || true
    sleep 4
    carry disk-full "LOOK=df -h $RIG/nats; curl --silent --max-time 2 http://127.0.0.1:29199/healthz || true" "START=hands restart nats" "OPS=$ALL" bring-back.sh disk-full
fi
if begin consumer-lag "The only ledger was killed (kill -9), and 30 donors gave; a second ledger is started in its place"; then
    hands kill ledger-1
    gifts 30
    carry consumer-lag "START=hands start ledger-2" "OPS=$FRONT http://127.0.0.1:29172 $PAY" bring-back.sh consumer-lag
    hands start ledger-1
    until_said "curl -sf $LEDGER/readyz"
    hands stop ledger-2
fi
if begin totals-stale "The only ledger was killed (kill -9) ten seconds ago, and ten donors gave"; then
    hands kill ledger-1
    gifts 10
    sleep 10
    carry totals-stale "START=hands start ledger-1" "OPS=$ALL" bring-back.sh totals-stale
fi
if begin postgres-down "Postgres was stopped with all its connections, and 30 donors gave"; then
    kill -INT "$(cat pids/postgres)"
    until_said "! kill -0 $(cat pids/postgres)"
    gifts 30
    carry postgres-down "LOOK=psql \"\$SPILLWAY_DATABASE_URL\" -c 'SELECT 1' || true" "START=hands start postgres" "OPS=$ALL" bring-back.sh postgres-down
fi
if begin kill-and-restart "A front-end, then the ledger, are restarted while donors give"; then
    carry kill-and-restart "START=hands restart ingest-2" "OPS=$ALL" bring-back.sh kill-and-restart
    carry kill-and-restart "START=hands restart ledger-1" "OPS=$ALL" bring-back.sh kill-and-restart
fi
if begin processor-down "The processor has an outage, and ten donors gave"; then
    faults '{"outage":"unavailable"}'
    gifts 10
    sleep 5
    carry processor-down "OPS=$PAY" look.sh processor-down
    carry processor-down PACE=pause pace.sh
    faults '{"outage":""}'
    carry processor-down PACE=resume pace.sh
fi
if begin rate-limited "The processor turns half of all calls away, and 20 donors gave"; then
    faults '{"rate_limit_rate":0.5}'
    gifts 20
    sleep 2
    carry rate-limited "OPS=$PAY" look.sh rate-limited
    carry rate-limited PACE=10 pace.sh
    faults '{"rate_limit_rate":0}'
fi
if begin queue-outlives-tokens "Charging was paused, and 20 donors gave; the processor has granted 100 a second"; then
    PATH="$here:$PATH" PACE=pause pace.sh >/dev/null
    gifts 20
    sleep 1
    carry queue-outlives-tokens pace.sh
    carry queue-outlives-tokens PACE=resume pace.sh
    carry queue-outlives-tokens PACE=100 pace.sh
fi
if begin processor-alarm "The key was rolled at the processor, and five donors gave; then payments get the new one"; then
    hands stop processor
    SPILLWAY_STRIPESIM_KEY=sk_test_rolled hands start processor
    gifts 5
    until_said "curl -s $PAY/metrics | grep -E 'processor_alarms_total.*alarm_unauthorized.* [1-9]'"
    carry processor-alarm "OPS=$PAY" look.sh processor-alarm
    carry processor-alarm PACE=pause pace.sh
    SPILLWAY_STRIPE_KEY=sk_test_rolled hands restart payments-1
    until_said "curl -sf $PAY/readyz"
    carry processor-alarm PACE=resume pace.sh
    until_said "spillway payments pace status | grep -E '^live +0 +0 +0 '"
    carry processor-alarm "OPS=$PAY" look.sh processor-alarm
    hands restart processor # takes any key again
fi
until_said "spillway verify --drained"
if begin refund "A donor gave twice by mistake"; then
    id=$(gift | grep -oE '"id":"[^"]+"' | cut -d'"' -f4)
    until_said "curl -s http://127.0.0.1:29181/v1/donations/$id | grep -q succeeded"
    carry refund DONATION="$id" ACTOR=ann "REASON=given twice by mistake" AMOUNT=12.50 SPILLWAY_SIMULATOR=http://127.0.0.1:29197 refund.sh
fi
# at_processor ENDPOINT KEY FIELD=VALUE...: a call with our key that Spillway does not make; prints the new object's ID.
at_processor() {
    local endpoint=$1 key=$2 fields=() field
    shift 2
    for field in "$@"; do fields+=(--data-urlencode "$field"); done
    curl --silent --show-error --fail "http://127.0.0.1:29197/v1/$endpoint" -u sk_test_rig: -H "Idempotency-Key: $key" "${fields[@]}" | grep -oE '"id": ?"[^"]+"' | head -1 | cut -d'"' -f4
}
by_hand() {
    at_processor payment_intents "$1" amount=5000 currency=usd confirm=true confirmation_token=ctoken_card_visa 'automatic_payment_methods[enabled]=true' 'automatic_payment_methods[allow_redirects]=never' "${@:2}"
}
if begin second-charge "Somebody charged a donation a second time, by hand; then that charge is refunded at the processor's dashboard"; then
    id=$(gift | grep -oE '"id":"[^"]+"' | cut -d'"' -f4)
    until_said "curl -s http://127.0.0.1:29181/v1/donations/$id | grep -q succeeded"
    twice=$(by_hand twice "metadata[donation]=$id" 'metadata[book]=live' 'metadata[attempt]=1')
    until_said "curl -s $PAY/metrics | grep -E 'charge_alarms_total.*second_charge.*live.* [1-9]'"
    carry second-charge LOGS="$RIG/logs/payments-1" "OPS=$PAY" PAUSE=yes second-charge.sh
    at_processor refunds refund-of-twice "payment_intent=$twice" >/dev/null
    until_said "spillway verify"
    carry second-charge LOGS="$RIG/logs/payments-1" "OPS=$PAY" second-charge.sh
    PATH="$here:$PATH" PACE=resume pace.sh >/dev/null
fi
if begin books-differ "Somebody charged at this account, by hand, what is no donation"; then
    by_hand nobodys >/dev/null
    sleep 5
    carry books-differ GRACE=2s SPILLWAY_SIMULATOR=http://127.0.0.1:29197 books-differ.sh
fi
if begin search-behind "The lists are made anew"; then
    carry search-behind OPS="$CONSOLE" REBUILD=yes search-behind.sh
fi
if begin overload "800 donations a second are offered meanwhile"; then
    spillway rehearse --target http://127.0.0.1:29181 --rate 800 --for 6s --charging off --secrets secrets.json --html rehearsal.html --record rehearsal.record >logs/rehearse 2>&1 &
    load=$!
    sleep 4
    carry overload "OPS=$FRONT" look.sh overload
    wait "$load" || true
fi
if begin webhooks "An event came whose signature is of a secret that nobody knows; then the secret is rolled"; then
    curl --silent --output /dev/null http://127.0.0.1:29181/v1/webhooks/stripe -H 'Stripe-Signature: t=1,v1=00' -d '{"id":"evt_1"}'
    printf 'whsec_new' >new-secret
    carry webhooks "OPS=$FRONT" LOGS="$RIG/logs/ingest-1" NEW="$RIG/new-secret" SECRETS="$RIG/webhook-secrets" "RESTART=hands restart ingest-%n" webhooks.sh
fi
if begin stream-nearly-full "Nothing is nearly full; streams let go of what is recorded, and that of donations gets more room, all the same"; then
    sleep 6 # everything acknowledged is noted in the database
    more=("TRIM=--no-backups --by-age --keep 0")
    if command -v nats >/dev/null; then more+=(STREAM=DONATIONS_0 BYTES=1600MB); fi
    carry stream-nearly-full "OPS=$FRONT" STORE="$RIG/nats" "${more[@]}" stream-nearly-full.sh
fi
if wanted move-a-campaign && ! command -v haproxy >/dev/null; then
    echo "move-a-campaign: haproxy is not on the PATH, left out"
elif begin move-a-campaign "An older system and a front-end behind HAProxy; two campaigns are the older system's"; then
    printf 'defaults\n mode http\n timeout connect 1s\n timeout client 9s\n timeout server 9s\nfrontend older\n bind 127.0.0.1:29184\n http-request return status 200 content-type text/plain string "an older page"\n' >older.cfg
    cp -r "$here/../haproxy/route" route
    printf '/give/river-school river-school\n/give/%s %s\n' animal-shelter animal-shelter >>route/links.map
    for name in haproxy strangler; do
        sed -e '/bind :443/d' -e '/redirect scheme/d' -e '/server .*-2 /d' -e '/server green-1/d' -e 's/bind :80$/bind 127.0.0.1:29180/' -e 's/127.0.0.1:8404/127.0.0.1:29183/' \
            -e 's/10.0.0.11:8080/127.0.0.1:29181/' -e "s#/run/haproxy/admin.sock#$RIG/proxy.sock#" -e "s#/etc/haproxy/route#$RIG/route#" -e 's/maxconn 100000/maxconn 1000/' "$here/../haproxy/$name.cfg" >"$name.cfg"
    done
    hands start older
    hands start proxy
    export SPILLWAY_MAPS="$RIG/route" SPILLWAY_SOCKET="$RIG/proxy.sock"
    until_said "curl -sf http://127.0.0.1:29180/give/river-school && curl -sf http://127.0.0.1:29180/v1/campaigns/river-school"
    carry move-a-campaign SLUGS=river-school TO=spillway TARGET=http://127.0.0.1:29181 PUBLIC=http://127.0.0.1:29180 move-a-campaign.sh
    carry move-a-campaign SLUGS=river-school TO=old TARGET=http://127.0.0.1:29181 PUBLIC=http://127.0.0.1:29180 move-a-campaign.sh
    carry move-a-campaign "SLUGS=river-school not-imported" TO=spillway TARGET=http://127.0.0.1:29181 move-a-campaign.sh
    unset SPILLWAY_MAPS SPILLWAY_SOCKET
    hands stop proxy
    hands stop older
fi
# Last: from here on verify names it, which is the point.
if begin quarantine "Something that is no envelope was published to the stream of donations"; then
    exec 3<>/dev/tcp/127.0.0.1/29198
    printf 'CONNECT {"verbose":false,"user":"spillway","pass":"rig"}\r\nPUB donations.v1.0 4\r\njunk\r\nPING\r\n' >&3
    until_said "psql \"$SPILLWAY_DATABASE_URL\" -qtAc 'SELECT count(*) FROM spillway.quarantine' | grep -q '^1$'"
    exec 3>&-
    carry quarantine quarantine.sh
fi
