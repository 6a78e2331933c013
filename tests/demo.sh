#!/bin/sh
# demo.sh BUILD: otad, its broker and a fleet of simulated devices go through one campaign, with a live view.
# Some devices lose their download or their MQTT session midway and go on; some fail once and are tried again.
#   PROTOCOL=native DEVICES=200 LIMIT_S=180 sh tests/demo.sh build
# PROTOCOL is native, aliyun, onenet or aws; TRANSFER https or mqtt, where the protocol has both.
set -eu
export LC_ALL=C

BUILD=${1:?usage: sh tests/demo.sh BUILD}
PROTOCOL=${PROTOCOL:-native}
TRANSFER=${TRANSFER:-auto}
DEVICES=${DEVICES:-200}
LIMIT_S=${LIMIT_S:-180}
dir=$(mktemp -d)
otad_pid=
sim_pid=

cleanup()
{
    trap '' HUP INT TERM
    for pid in $sim_pid $otad_pid; do
        kill "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 1' HUP INT TERM

die()
{
    echo "demo: $1" >&2
    [ ! -s "$dir/otad.log" ] || tail -n 15 "$dir/otad.log" >&2
    exit 1
}

now_s()
{
    date +%s
}

# A port nobody listens on, below those that the kernel gives to outgoing connections.
free_port()
{
    while :; do
        port=$((20000 + $(od -An -N2 -tu2 /dev/urandom) % 12000))
        grep -qi "^ *[0-9]*: [0-9A-F]*:$(printf %04X "$port") " /proc/net/tcp /proc/net/tcp6 2>/dev/null || break
    done
    echo "$port"
}

# field NAME: the value of a string or number of that name in the JSON object on stdin.
field()
{
    sed -n "s/.*\"$1\": *\"\{0,1\}\([^,\"}]*\).*/\1/p"
}

api()
{
    path=$1
    shift
    curl -fsS --cacert "$dir/data/certs/ca.pem" -H "Authorization: Bearer $token" "$url/api/v1$path" "$@"
}

start_otad()
{
    https_port=$(free_port)
    mqtt_port=$(free_port)
    cert_port=
    [ "$PROTOCOL" != aws ] || cert_port=$(free_port)
    url=https://localhost:$https_port
    public_url=$url
    # Aliyun's devices know one port for downloads, which the simulated ones replace by this one
    [ "$PROTOCOL $TRANSFER" != "aliyun https" ] || public_url=https://localhost
    "$BUILD/otad" -d "$dir/data" -o https_port="$https_port" -o mqtt_port="$mqtt_port" -o public_url="$public_url" \
        ${cert_port:+-o mqtt_cert_port="$cert_port"} 2>"$dir/otad.log" &
    otad_pid=$!
    end_s=$(($(now_s) + 60))
    until "$BUILD/otad" health -d "$dir/data" >/dev/null 2>&1; do
        kill -0 "$otad_pid" 2>/dev/null || return 1
        [ "$(now_s)" -lt "$end_s" ] || return 1
        sleep 0.1
    done
    token=$(cat "$dir/data/admin.token")
}

# each FORMAT: the format's text for the name of every device.
each()
{
    awk -v n="$DEVICES" -v format="$1" 'BEGIN {
        for (i = 1; i <= n; i++) {
            text = format
            gsub(/@/, sprintf("sim-%05d", i), text)
            print text
        }
    }'
}

# A certificate for every device, over one connection, in $dir/certs.
make_certificates()
{
    mkdir "$dir/certs"
    { echo product,name; each "lamp,@"; } | api /devices:import --data-binary @- >/dev/null
    each "next
url = $url/api/v1/devices/lamp/@/certificate
cacert = $dir/data/certs/ca.pem
header = \"Authorization: Bearer $token\"
data = \"{}\"
output = $dir/certs/@.json" | (umask 077 && sed 1d >"$dir/curl.conf" && curl -fsS -K "$dir/curl.conf")
    for answer in "$dir"/certs/*.json; do
        printf '%b' "$(field certificate <"$answer")" >"${answer%json}pem"
        printf '%b' "$(field key <"$answer")" >"${answer%json}key"
    done
}

# Devices that are connected and known: here each of them by its first report.
registered()
{
    api /status | field devices_online
}

# One line from a campaign's JSON: bar, percent, and how many executions are in which state.
picture()
{
    awk -v width=30 '{
        counts = $0; sub(/.*"counts":[{]/, "", counts); sub(/[}].*/, "", counts); gsub(/"/, "", counts)
        percent = $0; sub(/.*"percent":/, "", percent); percent += 0
        for (i = 0; i < width; i++)
            bar = bar (i < int(percent * width / 100) ? "#" : ".")
        line = sprintf("[%s] %3d %%", bar, percent)
        n = split(counts, state, ",")
        for (i = 1; i <= n; i++) {
            split(state[i], pair, ":")
            if (pair[2] > 0)
                line = line "  " pair[1] " " pair[2]
        }
        print line
    }'
}

watch_campaign()
{
    end_s=$(($(now_s) + LIMIT_S))
    shown=
    while :; do
        campaign=$(api "/campaigns/$id")
        state=$(printf '%s\n' "$campaign" | field state)
        line=$(printf '%s\n' "$campaign" | picture)
        if [ -t 1 ]; then
            printf '\r\033[K%s' "$line"
        elif [ "$line" != "$shown" ]; then
            echo "$line"
        fi
        shown=$line
        case $state in completed | cancelled) break ;; esac
        [ "$(now_s)" -lt "$end_s" ] || break
        if [ -t 1 ]; then sleep 0.2; else sleep 1; fi
    done
    [ ! -t 1 ] || echo
}

summarize()
{
    took_s=$(($(now_s) - started_s))
    echo
    echo "campaign $id: $state after $took_s s"
    printf '%s\n' "$campaign" | picture | tr -s ' ' | sed 's/^.*% //' | awk '{
        for (i = 1; i < NF; i += 2)
            printf "  %-14s %6d devices\n", $i, $(i + 1)
    }'
    [ "$DEVICES" -gt 1000 ] || # more than a page
        api "/campaigns/$id/executions?limit=1000" | grep -o '"attempt":[0-9]*' | sort | uniq -c |
        awk -F '[ :]+' '{ printf "  %-14s %6d devices\n", "in attempt " $4, $2 }'
    for row in 'cut:downloads cut midway' 'resumed:downloads resumed' 'mqtt_drops:MQTT sessions lost' \
        'failures_simulated:updates that failed once' 'digest_errors:files with a wrong digest' \
        'bytes:bytes downloaded' 'blocks:blocks of files over MQTT'; do
        printf '  %12s %s\n' "$(field "${row%%:*}" <"$dir/sim.json")" "${row#*:}"
    done
}

echo "demo: otad and its broker"
started=
for _ in 1 2 3; do # a port may have been taken meanwhile
    if start_otad; then
        started=1
        break
    fi
    kill "$otad_pid" 2>/dev/null || true
    wait "$otad_pid" 2>/dev/null || true
    otad_pid=
done
[ -n "$started" ] || die "otad did not start"

secret=$(api /products -d "{\"key\":\"lamp\",\"protocol\":\"$PROTOCOL\",\"transfer\":\"$TRANSFER\",\"enrolment\":\"open\"}" |
    field enrolment_secret)
[ -n "$secret" ] || die "there is no enrolment secret"
dd if=/dev/urandom of="$dir/lamp.bin" bs=1024 count=1024 2>/dev/null
firmware=$(api '/firmware?product=lamp&version=2.0.0' -T "$dir/lamp.bin" | field id)
[ -n "$firmware" ] || die "the firmware was not taken"

if [ "$PROTOCOL" = aws ]; then
    echo "demo: $DEVICES devices get certificates, and log in with them"
    make_certificates
    mqtt_port=$cert_port
else
    echo "demo: $DEVICES devices log in and register themselves"
fi
"$BUILD/otad-sim" --mqtt "localhost:$mqtt_port" --ca "$dir/data/certs/ca.pem" --product lamp --secret "$secret" \
    --protocol "$PROTOCOL" --transfer "$TRANSFER" --certs "$dir/certs" --https "localhost:$https_port" \
    --devices "$DEVICES" --drop-pct 20 --mqtt-drop-pct 5 --fail-pct 8 --reboot --rate-bytes 500000 \
    --install-ms 1000 --reboot-ms 1000 --seed 7 --duration "$((LIMIT_S + 60))" --json --quiet \
    >"$dir/sim.json" 2>"$dir/sim.log" &
sim_pid=$!
end_s=$(($(now_s) + 60))
until [ "$(registered)" -ge "$DEVICES" ]; do
    kill -0 "$sim_pid" 2>/dev/null || die "otad-sim ended: $(cat "$dir/sim.log")"
    [ "$(now_s)" -lt "$end_s" ] || die "only $(registered) of $DEVICES devices are registered"
    sleep 0.2
done

echo "demo: a campaign brings them from 1.0.0 to 2.0.0"
started_s=$(now_s)
id=$(api /campaigns -d "{\"name\":\"lamp 2.0.0\",\"firmware\":[$firmware],\"policy\":{\"max_attempts\":3,\"retry_after\":\"2s\"}}" |
    field id)
[ -n "$id" ] || die "the campaign was not taken"
watch_campaign
kill "$sim_pid" 2>/dev/null || true # it has ended already when every device is done
wait "$sim_pid" || true
sim_pid=
summarize
succeeded=$(printf '%s\n' "$campaign" | field succeeded)
[ "$state $succeeded" = "completed $DEVICES" ] || die "not every device is on 2.0.0"
