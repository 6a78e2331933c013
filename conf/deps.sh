#!/bin/sh
# deps.sh: installs the Debian or Ubuntu packages that are missing for one purpose, and nothing when all are there.
#   sh conf/deps.sh run|test|sdk|lint|fuzz|coverage|bench
# The make targets call it first. A machine whose packages come from elsewhere: make DEPS=: run
set -eu

RUN="gcc libc6-dev make curl mosquitto mosquitto-dev libmosquitto-dev libmicrohttpd-dev libgnutls28-dev libssl-dev
     libjansson-dev libcbor-dev libsqlite3-dev libinih-dev libcurl4-openssl-dev tzdata"
TEST="$RUN libcmocka-dev python3 python3-pytest python3-paho-mqtt openssl mosquitto-clients sqlite3"
SDK="$TEST"
LINT="$RUN libcmocka-dev clang clang-tidy clang-format cppcheck python3 python3-yaml"
FUZZ="$RUN clang libclang-rt-dev"
COVERAGE="$TEST gcovr"
BENCH="$RUN python3 python3-paho-mqtt openssl nginx-light wrk iproute2"
# These packages start a daemon when they are installed; otad starts its own broker, the benchmark its own nginx.
SERVICES="mosquitto nginx"

# A Node from elsewhere does as well, and would not stay beside Debian's.
if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
    SDK="$SDK nodejs npm"
    BENCH="$BENCH nodejs npm"
fi

case "${1:-}" in
run) wanted=$RUN ;;
test) wanted=$TEST ;;
sdk) wanted=$SDK ;;
lint) wanted=$LINT ;;
fuzz) wanted=$FUZZ ;;
coverage) wanted=$COVERAGE ;;
bench) wanted=$BENCH ;;
*)
    echo "usage: sh conf/deps.sh run|test|sdk|lint|fuzz|coverage|bench" >&2
    exit 2
    ;;
esac

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    echo "deps: no dpkg and apt-get here; install what these Debian packages hold, then: make DEPS=: ..." >&2
    echo "deps: $wanted" >&2
    exit 1
fi

# shellcheck disable=SC2086
there=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' $wanted 2>/dev/null | sed -n 's/^installed //p' || true)
missing=
for package in $wanted; do
    printf '%s\n' "$there" | grep -qxF "$package" || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

sudo=
if [ "$(id -u)" != 0 ]; then
    if ! command -v sudo >/dev/null; then
        echo "deps: there is no sudo here; as root: apt-get install --no-install-recommends$missing" >&2
        exit 1
    fi
    sudo=sudo
fi
echo "deps: installing$missing"

fresh= # services that were not on this machine before, from a package or by hand
for service in $SERVICES; do
    [ -e "/usr/sbin/$service" ] || [ -e "/etc/systemd/system/$service.service" ] || fresh="$fresh $service"
done

policy=/usr/sbin/policy-rc.d
wrote_policy=
cleanup()
{
    [ -z "$wrote_policy" ] || $sudo rm -f "$policy"
}
trap cleanup EXIT
trap 'exit 1' HUP INT TERM

# invoke-rc.d asks this script before it starts anything: 101 is "no". One that is already there is the
# administrator's, and stays.
if [ -n "$fresh" ] && [ ! -e "$policy" ]; then
    pattern=$(for service in $fresh; do printf '%s|%s.service|' "$service" "$service"; done)
    wrote_policy=1
    # shellcheck disable=SC2016
    printf '#!/bin/sh\nfor word; do\n    case "$word" in\n    %s) exit 101 ;;\n    esac\ndone\nexit 0\n' \
        "${pattern%|}" | $sudo tee "$policy" >/dev/null
    $sudo chmod 755 "$policy"
fi

apt()
{
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=120 "$@"
}

# The package lists of a new machine are empty, those of an old one name files that are gone.
install()
{
    # shellcheck disable=SC2086
    apt install -y --no-install-recommends $missing
}
# shellcheck disable=SC2086
if apt-get -s install --no-install-recommends $missing >/dev/null 2>&1 && install; then
    :
else
    apt update
    install
fi

# Kept from the next start of the machine as well, and stopped where the administrator's policy let them start.
for service in $fresh; do
    [ -e "/usr/sbin/$service" ] || continue
    if [ -d /run/systemd/system ]; then
        $sudo systemctl disable --now "$service.service"
    elif command -v systemctl >/dev/null; then
        $sudo systemctl disable "$service.service"
    else
        $sudo update-rc.d "$service" disable
    fi
done
