#!/bin/sh
# run.sh BUILD: otad beside its peers on this machine, as docs/benchmarks.md describes: a table on stdout,
# BUILD/bench/results.json, and the results in docs/benchmarks.md and .json. `make bench` calls it. QUICK=1 runs
# everything small and short, and leaves docs/ alone: it shows that the harness works, and its figures mean nothing.
#
# Where it is allowed to, it runs in a network namespace of its own, whose loopback has the kernel's usual congestion
# control: the machine may have chosen another, which paces what never leaves the machine.
set -eu
here=$(cd "$(dirname "$0")" && pwd)

namespace()
{
    if [ "$(id -u)" = 0 ]; then
        unshare --net "$@"
    else
        unshare --map-current-user --keep-caps --net "$@"
    fi
}
if [ -z "${BENCH_NAMESPACE:-}" ]; then
    export BENCH_NAMESPACE=own
    lo='ip link set lo up && ip route replace local 127.0.0.1 dev lo table local congctl cubic'
    # shellcheck disable=SC2016
    if namespace sh -c "$lo" 2>/dev/null; then
        namespace sh -c "$lo"' && exec sh "$@"' sh "$0" "$@"
        exit
    fi
    echo "run.sh: no network namespace here: this machine's own loopback is used, as it is" >&2
fi

build=${1:-build}
for program in otad bench/growth bench/mqtt_files bench/mqtt_flood bench/rowcount.so bench/tls_clients bench/node/server.js; do
    [ -e "$build/$program" ] || {
        echo "run.sh: $build/$program is missing: run make bench" >&2
        exit 2
    }
done
for program in nginx wrk openssl node; do
    # nginx lies where an ordinary user's PATH does not look
    PATH=$PATH:/usr/sbin command -v $program >/dev/null || {
        echo "run.sh: $program is missing: sh conf/deps.sh bench" >&2
        exit 2
    }
done
build=$(cd "$build" && pwd)
# servers are started, awaited and ended as the system tests do it
export OTAD_BUILD="$build" PYTHONPATH="$here/../system" PYTHONDONTWRITEBYTECODE=1
exec timeout -k 20 "$([ -n "${QUICK:-}" ] && echo 600 || echo 1200)" \
    "${PYTHON:-/usr/bin/python3}" "$here/bench.py" "$build/bench/results.json" "$here/../../docs"
